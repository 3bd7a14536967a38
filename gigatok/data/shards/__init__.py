"""Images in tar files of a few hundred megabytes (WebDataset's layout), with an index that makes any row one seek."""
