"""How figures are drawn: colours, panels, labels that do not overprint, sheets of pictures."""
