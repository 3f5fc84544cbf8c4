"""Whether the text of a completion is a good answer: parsing, cleaning, tag repair and checks."""
