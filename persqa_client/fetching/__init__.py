"""How is a picture that a row names by URL downloaded?"""
