"""The dashboard: pages that the API serves itself, made on the server from the same reads as the metrics endpoints.

How a page is made
------------------
1. **A module with a router**: `router = APIRouter(include_in_schema=False, route_class=PageRoute)`. `PageRoute` gives
   the endpoint the starlette request as it is, turns ApiError into a page, adds the policy headers and compresses. The
   router is listed in `routers.py`; the page in `navigation.py`, when the frame should lead to it.
2. **The endpoint** begins with `visit = visit_of(request)`, which leads to the sign-in without a session. The visit
   knows the tenant (`tenant_id`), the window (`window`, UTC days that end today; `both_windows` has the one before
   too), the clock (`now`) and what the session may do (`may("manage")`, `require("manage")`).
3. **Reading**: `found = await visit.read(lambda connection: read_days(connection, visit.tenant_id, visit.window))`. The
   frame's freshness is read on the same connection. Use the functions of `api.metrics.queries`, so that a page and the
   API cannot differ; never raw events. Arithmetic goes into plain functions beside the route, which tests call.
4. **Changing**: `form = await visit.form()` in a POST endpoint checks origin and CSRF token before it returns the
   fields (`form.get(name)`, `form.all(name)`). A form holds `<input type="hidden" name="csrf" value="{{ csrf }}">`;
   requests of htmx may send the token as header X-CSRF-Token. Answer with `redirect(request, place)`.
5. **Answering**: `visit.page("name.html", title="...", tables=[...], ...)`. A `Table` (`tables.py`) is written once and
   becomes HTML by the macro `table(tables.name, visit)` of `parts.html`, and a CSV download by `?csv=name`. A `Cell`
   may say where it comes from (`ask=`, made by `asking.ask`), lead elsewhere (`href=`), and be marked
   `look="incomplete"` with a `note=`. Long tables behind a chart are given as `numbers={"name": function}` and made
   when somebody opens them: `chart(series, "name", visit)`, `?numbers=name`.
   `visit.fragment("part.html", ...)` answers a script with a part of a page.
6. **The template** extends `frame.html` and fills the block `content`; with time series also the block `charts`, by
   `{% include "charts.html" %}`. Macros of `parts.html`: `table`, `chart` (of a `TimeSeries`), `number`,
   `metric_label`, `empty`. Links to pages are made by `visit.link("/path")`, which keeps the window, or
   `visit.link(sort="name")`, which changes this page's query. Filters are the functions of `formats.py`.
7. **Everything is escaped**, and there is no style attribute and no inline script: the policy would block them. Widths
   of bars are attributes of SVG (`charts.bar`), colors are classes `v0` to `v6`
   (`charts.time_series.variant_colors`), heat is `heat-0` to `heat-9` within an element of class `heat`. What `charts`
   returns is Markup and the only text that is not escaped again.
8. **Every block has three states**: with data; empty, by the macro `empty` with the command or link that fills it;
   failed, which `PageRoute` shows for the page. Every number says where it comes from, and shows n beside a share.

Behaviour without script: links, forms and `details` do all the reading. `static/app.js` opens `a.ask` as a panel,
submits the form of a `select[data-submit]`, copies by `button[data-copy=ID]`, asks before a `form[data-confirm=TEXT]`
is sent, and shows toasts by `window.tidemark.toast(text)`; a page that was redirected to may hold toasts for it:
`<p class="notice" data-toast>Saved.</p>`.
"""
