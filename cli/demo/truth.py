"""What is true in the simulated world: every parameter that a metric of the demo can be held against.

Rates are probabilities, times are seconds unless a name says otherwise, days are UTC days. The app is made up: a
fitness diary whose workouts feed creatures and a tree of skills.
"""

from __future__ import annotations

from collections.abc import Mapping

# Of a day's new users, the share that submits a first training diary within 24 hours; effects are added to it.
LOGGING_RATE_24H = 0.38
LOGGING_EFFECT: Mapping[tuple[str, str], float] = {
    ("exp_3_landing_journey", "B"): 0.01,
    ("exp_3_landing_journey", "C"): 0.04,
}

# Relative change of how much is done in one session.
DEPTH_EFFECT: Mapping[tuple[str, str], float] = {("exp_4_achievements_density", "B"): -0.08}

# Variants whose first screen is not the workouts tab, or that load a first plan by themselves.
LANDING_TAB: Mapping[tuple[str, str], str] = {("exp_3_landing_journey", "C"): "creatures"}
PRELOADED_PLAN: Mapping[tuple[str, str], str] = {
    ("exp_3_landing_journey", "A"): "full_body",
    ("exp_3_landing_journey", "B"): "starter",
}

# People who switched experiments off: they are never assigned, and count everywhere but in per-variant rows.
WITHOUT_EXPERIMENTS = 0.02

# New users per day double over the period; a campaign multiplies three days of it, from 60 % of the period on.
GROWTH = 1.0
CAMPAIGN_START = 0.6
CAMPAIGN_FACTORS = (3.0, 2.0, 1.4)
WEEKEND_FACTOR = 1.35

# A person's chance to come back k days after the first open is RETENTION_DAY_1 * k ** -RETENTION_DECAY, times
# the person's own engagement (gamma distributed with mean 1), times WEEKEND_FACTOR on Saturdays and Sundays.
RETENTION_DAY_1 = 0.35
RETENTION_DECAY = 0.45
ENGAGEMENT_SHAPE = 1.3
MORE_SESSIONS = (0.34, 0.10)  # chance of a second session on an active day, then of a third

# Activity by local hour: a morning and an evening peak on weekdays, late mornings at weekends.
WEEKDAY_HOURS = (1, 1, 0, 0, 1, 3, 7, 9, 6, 4, 3, 4, 6, 5, 3, 4, 7, 11, 13, 12, 9, 6, 4, 2)
WEEKEND_HOURS = (2, 1, 1, 0, 0, 1, 3, 5, 9, 12, 12, 10, 8, 7, 7, 7, 7, 8, 8, 7, 6, 5, 4, 3)

# Where people live: hours ahead of UTC, the phone's locale, share.
PLACES = (
    (-6.0, "en-US", 0.22),
    (-3.0, "pt-BR", 0.16),
    (0.0, "en-GB", 0.14),
    (1.0, "de-DE", 0.22),
    (5.5, "en-IN", 0.14),
    (9.0, "ja-JP", 0.12),
)
IOS_SHARE = 0.58
OS_VERSIONS: Mapping[str, tuple[str, ...]] = {"ios": ("17.6", "18.3", "26.0"), "android": ("13", "14", "15", "16")}

# App versions with the share of the period at which each comes out; people update an exponential time later
# (mean in days), and some never do. Versions before FIRST_VERSION_WITH_IDS send no event_id.
RELEASES = (("1.3.0", 0.0), ("1.4.0", 0.25), ("1.4.1", 0.4), ("1.5.0", 0.7))
UPDATE_MEAN_DAYS = 3.0
NEVER_UPDATES = 0.08
FIRST_VERSION_WITH_IDS = "1.5.0"

# The network: a phone sends what it holds after FLUSH_SECONDS, at FLUSH_EVENTS, and when a session ends.
FLUSH_SECONDS = 45.0
FLUSH_EVENTS = 12
LATENCY_MEDIAN = 0.4
OFFLINE = 0.05  # share of sessions without a network; three times that in sessions with a workout
OFFLINE_MEDIAN_HOURS = 2.5
OFFLINE_DAYS = 0.15  # of the offline ones, those that stay so for 1 to 6 days
ANSWER_LOST = 0.03  # share of requests whose answer never arrives: the same body is sent again, sometimes twice
ANSWER_LOST_AGAIN = 0.15
FAST_CLOCK = 0.03  # share of phones whose clock is ahead, by up to FAST_CLOCK_SECONDS
FAST_CLOCK_SECONDS = 90.0
