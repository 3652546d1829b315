"""Sequence models over an item table: what BERT4Rec and SASRec share."""
