"""Convolutional networks of log-mel windows that this project trains itself: front end, networks, objectives."""
