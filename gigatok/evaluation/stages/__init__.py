"""One file a DVC stage that scores."""
