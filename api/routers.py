"""Every router of the API, and the answers whose examples its description shows."""

from __future__ import annotations

from api.access.admin import router as administration
from api.access.admin_models import AdminKey, AdminKeys, AdminTenant, AdminTenants, NewAdminKey
from api.assignment.models import AssignmentResponse
from api.assignment.routes import router as assignment
from api.campaign.events import router as campaign_events
from api.campaign.health import router as campaign_health
from api.campaign.models import CampaignEventResponse, CampaignHealthResponse
from api.campaign.summary import router as campaign_summary
from api.campaign.summary_models import AnalyticsSummaryResponse
from api.dashboard.routers import ROUTERS as DASHBOARD_ROUTERS
from api.experiments.models import (
    BulkStatusResponse,
    ExperimentChanges,
    ExperimentList,
    ExperimentResponse,
    ExperimentVersions,
)
from api.experiments.routes import router as experiment_management
from api.health import HealthResponse
from api.health import router as health
from api.ingestion.models import EventsResponse
from api.ingestion.routes import router as ingestion
from api.metrics.models import (
    CatalogueResponse,
    DailyResponse,
    ExperimentsResponse,
    FunnelsResponse,
    OrderedFunnelsResponse,
    RetentionResponse,
    SummaryResponse,
)
from api.metrics.routes import router as metrics
from api.operations.models import ReadyResponse
from api.operations.routes import router as operations
from api.reference.routes import router as reference
from api.retail.models import QueuedResponse, StatsResponse
from api.retail.routes import router as retail
from api.runs.models import RunResponse, RunsResponse
from api.runs.routes import router as runs

ROUTERS = (
    health,
    assignment,
    ingestion,
    retail,
    campaign_health,
    campaign_events,
    campaign_summary,
    experiment_management,
    administration,
    metrics,
    runs,
    operations,
    reference,
    *DASHBOARD_ROUTERS,
)
RESPONSE_MODELS = (
    HealthResponse,
    ReadyResponse,
    AssignmentResponse,
    EventsResponse,
    QueuedResponse,
    StatsResponse,
    CatalogueResponse,
    SummaryResponse,
    DailyResponse,
    ExperimentsResponse,
    FunnelsResponse,
    OrderedFunnelsResponse,
    RetentionResponse,
    RunsResponse,
    RunResponse,
    CampaignHealthResponse,
    CampaignEventResponse,
    AnalyticsSummaryResponse,
    ExperimentResponse,
    ExperimentList,
    BulkStatusResponse,
    ExperimentChanges,
    ExperimentVersions,
    AdminTenant,
    AdminTenants,
    AdminKey,
    AdminKeys,
    NewAdminKey,
)
