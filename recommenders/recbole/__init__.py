"""RecBole in a process of its own: the recommender, and what runs on the side of RecBole."""
