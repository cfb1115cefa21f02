"""The campaign platform's protocol: events, analytics and experiments of tenants, each with keys of its own."""
