"""A compact masked autoencoder for animal sound, and what its notebooks share. Import modules: `from lib import mel, mae`."""
