"""Where every published number comes from: recorded, shown, computed again."""
