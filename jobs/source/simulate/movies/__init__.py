"""Simulate movies and their audience: latent tastes over genres, power laws, new movies, drift."""
