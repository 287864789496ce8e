"""Believable movies and what people do with them: latent tastes over genres, power laws, new movies, drift."""
