"""The demo's tenant of the campaign platform, and the key that every client of a demo may use."""

from __future__ import annotations

from contextlib import suppress

from pipeline.access.keys import create_demo_key
from pipeline.access.tenants import TenantExistsError, create_tenant
from pipeline.database import connect

CAMPAIGN_TENANT = "demo"


def make_campaign_tenant(database_url: str) -> None:
    """Make the tenant and its key, where they are not there yet. Raises psycopg.Error."""
    with connect(database_url, application="tidemark-demo", autocommit=True) as connection:
        with suppress(TenantExistsError):
            create_tenant(connection, CAMPAIGN_TENANT, "Demo campaigns")
        create_demo_key(connection, CAMPAIGN_TENANT)
