"""The item table: one vector an item, and the treatments of these vectors."""
