"""What the networks learn from: tags, words, and who listens to what."""
