"""Output tracks: from the frames that a model yields to the encoded pictures of every viewer."""
