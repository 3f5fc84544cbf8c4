"""How are files in object stores read and written?"""
