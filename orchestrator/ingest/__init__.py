"""Events as other systems say them, translated into ours: no HTTP, no database, no clock."""
