import cProfile, pstats, io, time
from datetime import UTC, datetime, timedelta
import dagster as dg
from dagster_project.definitions import ASSETS, CHECKS
from dagster_project.partitions import range_tags
from dagster_project.resources import Deployment
from pipeline.event_store import store
from tests.makers import event_rows

def test_profile(database_url, connection, dagster_home):
    now = datetime.now(UTC)
    store(connection, event_rows(2000, days=30, end=now))
    with dg.DagsterInstance.get() as instance:
        p = cProfile.Profile(); t = time.time(); c = time.process_time(); p.enable()
        r = dg.materialize([*ASSETS, *CHECKS], instance=instance, resources={"deployment": Deployment(database_url=database_url, home=str(dagster_home.parent))}, tags=range_tags(now.date()-timedelta(days=29), now.date()))
        p.disable()
        assert r.success
        print("WALL", time.time()-t, "CPU", time.process_time()-c)
        for e in r.all_events:
            if e.is_step_success: print(e.step_key, e.event_specific_data.duration_ms)
    s = io.StringIO(); pstats.Stats(p, stream=s).sort_stats("cumulative").print_stats(60); print(s.getvalue())
