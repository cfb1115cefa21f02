"""Who asks: API keys, the tenants they belong to, what they allow, and how often."""
