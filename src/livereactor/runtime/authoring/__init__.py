"""The authoring surface: what a model class may declare, and how a declaration is read."""
