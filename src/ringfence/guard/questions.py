"""What each stage asks, and what helps where it refuses, for operators."""

from __future__ import annotations

from collections.abc import Mapping

QUESTIONS: Mapping[str, str] = {
    "traffic.request_line": "has the request one meaning only?",
    "traffic.client_ip": "who is the client, seen through the trusted proxies?",
    "traffic.host": "is it for a host that is served here?",
    "traffic.blocklist": "is the address on the blocklist?",
    "traffic.rate_limit": "is a budget used up?",
    "traffic.in_flight": "are too many requests of this client being answered?",
    "traffic.body_limit": "is the body small enough, and does it come fast enough?",
    "browser.cors": "which other origins may read the answer?",
    "browser.fetch_metadata": "does a browser send it from our own pages?",
    "browser.csrf": "does it carry the token of its session, where one is needed?",
    "browser.reports": "is it a report of a browser?",
    "identity.sessions": "whose session is it?",
    "access.stage": "may they use this route?",
    "interpreters.validation.stage": "is what it brings what the route takes?",
    "guard.stages": "is there a route at all?",
    "guard.inquiry": "what does the store say about this client and its session?",
}
"""What each stage asks, by the file in which the stage stands."""

REMEDIES: Mapping[str, str] = {
    "access.not_signed_in": "Sign in first; behind a proxy see that cookies pass.",
    "access.not_allowed": "Give the account a role that the policy names: ringfence "
    "accounts list shows what it has.",
    "access.factor_needed": "The owner sets one up at /auth/two-step, or shows it.",
    "access.field_leaked": "The ledger names the field: give it a default in the "
    "response model, take it out, or let whoever asks read it (access.fields).",
    "access.field_not_allowed": "errors names the fields; write= of access.fields "
    "says who may set them.",
    "access.not_found": "The row is not there, or is somebody else's: the ledger says "
    "if a rule on the model has refused.",
    "access.out_of_scope": "Name a scope of the key in the policy: access.scope(...).",
    "access.unfiltered": "The ledger says what the statement lacks, the application's "
    "log has its line.",
    "access.not_fresh": "The owner confirms the password at /auth/confirm.",
    "browser.cors_method": "Name the method in RINGFENCE_BROWSER_CORS_METHODS, or in "
    "cors(...) beside the route.",
    "browser.cors_origin": "Name the origin in RINGFENCE_BROWSER_CORS_ORIGINS, or in "
    "cors(...) beside the route.",
    "browser.cross_site": "Another site sent this. If that site is yours, name it in "
    "browser.cors (RINGFENCE_BROWSER_CORS_...).",
    "browser.cross_site_read": "Another site embeds or fetches this route; let it "
    "share with cors(...) if that is meant.",
    "browser.foreign_origin": "Name where browsers reach this service in "
    "RINGFENCE_PUBLIC_ORIGINS, or the other origin in browser.cors.",
    "browser.origin_missing": "A client with a session cookie has to send Origin, or "
    "the token as X-CSRF-Token (GET /auth/me returns it).",
    "browser.csrf_missing": "Send the token as X-CSRF-Token or in the field "
    "csrf_token; GET /auth/me returns it.",
    "browser.csrf_wrong": "The token belongs to another session; fetch a new one "
    "from GET /auth/me.",
    "guard.no_route": "ringfence plan TARGET lists what is served.",
    "guard.plan_mismatch": "A middleware inside Guard(app) rewrites paths or methods; "
    "put it outside.",
    "guard.stage_failed": "The application's log has the trace under this request id.",
    "guard.store_unavailable": "The database or the store could not be used; "
    "the log says why.",
    "guard.application_error": "The application's log has the trace under this id.",
    "identity.too_many_attempts": "The limit ends by itself; for a load test raise "
    "RINGFENCE_IDENTITY_SIGN_INS_PER_ADDRESS and ..._SIGN_INS_GLOBAL.",
    "identity.two_credentials": "Send one of session cookie, access cookie and "
    "Authorization header, not two.",
    "identity.dpop_invalid": "The ledger says what does not fit. Behind a proxy name "
    "the address that clients use in RINGFENCE_PUBLIC_ORIGINS.",
    "identity.dpop_required": "The token is bound to a key: send it with the scheme "
    "DPoP and a proof; RINGFENCE_TOKENS_DPOP says whether all must be.",
    "identity.refresh_invalid": "If the family was ended for reuse, the ledger has "
    "authn_token_reuse; else the token has expired. Sign in again.",
    "identity.refresh_repeated": "The program refreshes twice at once; let one refresh "
    "serve all who wait.",
    "identity.session_required": "A program signs in again with POST /auth/token.",
    "identity.token_expired": "The program refreshes with POST /auth/token/refresh.",
    "identity.token_revoked": "The account was signed out, or its password or roles "
    "were changed; refresh, or sign in again.",
    "identity.ambiguous_cookie": "The browser holds two session cookies with different "
    "values; one of them was planted. Clear them.",
    "identity.unavailable": "The database or the store could not be used; "
    "the log says why.",
    "interpreters.archive": "Unpack with archives.unpack, which says what is wrong: "
    "the archive names files outside of itself, or is too much.",
    "interpreters.form_malformed": "A client writes forms by hand; let a library do "
    "it, or send JSON.",
    "interpreters.html": "Escape where it enters the page: html.environment, or "
    "html.text, url, script; html.rich_text for what visitors may mark up.",
    "interpreters.ldap": "Build filters and names with ldap.filter and ldap.dn.",
    "interpreters.line": "Let email.message.EmailMessage write headers, or keep text "
    "on its line with lines.one_line.",
    "interpreters.nosql": "Take what a request brings through nosql.value or "
    "nosql.equal, or give the route a model: accepts(...).",
    "interpreters.path": "Open files with paths.open_below(FOLDER, name); the ledger "
    "says which input led elsewhere.",
    "interpreters.pickle": "Exchange JSON, no pickles; keep state on the server.",
    "interpreters.process": "A guard could not judge what was about to happen, and "
    "so refused; please report what the ledger says.",
    "interpreters.python": "Do not eval input: look functions up in a table, and read "
    "data with json or ast.literal_eval.",
    "interpreters.regex": "Escape input with re.escape, or take patterns through "
    "expressions.bounded.",
    "interpreters.redirect": "Send on with urls.redirect_target(next, otherwise='/'), "
    "or declare the site in interpreters.redirects.",
    "interpreters.shell": "Start programs with shell.command(...).run(...), where a "
    "value is one argument; shell.file for names, -- before what may begin with a -.",
    "interpreters.sql": "Bind values: sql.query(...) or the driver's placeholders; "
    "names through sql.order_by and sql.identifier. If the statement lock says so, "
    "review the statement and learn it: ringfence lock TARGET --learn 'pytest'.",
    "interpreters.template": "Hand values in beside the template; let others write for "
    "templates.fill.",
    "interpreters.url": "Fetch with urls.fetch or urls.transport; declare what is the "
    "application's own in interpreters.egress_private.",
    "interpreters.xml": "Read XML with xml.parse; the sender has to leave out the "
    "document type.",
    "interpreters.xpath": "Bind values: xml.xpath(tree, path, name=value).",
    "interpreters.yaml": "Read YAML with yaml.safe_load.",
    "interpreters.input_type": "The route accepts a model; let the client send "
    "Content-Type: application/json.",
    "interpreters.invalid_input": "The ledger names the fields. A field that is meant "
    "belongs into the model; accepts.lenient lets others through.",
    "interpreters.json_duplicate_key": "A client writes a key twice; parsers differ in "
    "which one they read.",
    "interpreters.json_encoding": "A client sends another encoding than UTF-8, or a "
    "byte order mark.",
    "interpreters.json_malformed": "A client writes JSON by hand; where the body is "
    "none, accepts.anything beside the route leaves it alone.",
    "interpreters.json_number": "A client sends NaN, Infinity, or more digits than a "
    "number holds; as text they pass.",
    "interpreters.json_too_deep": "Raise RINGFENCE_INTERPRETERS_JSON_DEPTH if such "
    "documents are meant.",
    "traffic.bad_forwarding": "The proxy sends a forwarding header that is none; see "
    "its configuration.",
    "traffic.blocked": "The address is on the blocklist, for a time or by settings.",
    "traffic.body_too_large": "Raise RINGFENCE_TRAFFIC_MAX_BODY if such bodies are "
    "meant.",
    "traffic.body_too_slow": "The body came slower than an honest client sends.",
    "traffic.forwarded_in_development": "Development takes no proxies: unset "
    "RINGFENCE_ENV and name the proxy in RINGFENCE_PROXIES.",
    "traffic.header_twin": "A client or a proxy writes a header with underscores; let "
    "it write dashes.",
    "traffic.host_missing": "A health check, perhaps; let it send the name in Host.",
    "traffic.host_not_allowed": "Name the host in RINGFENCE_PUBLIC_ORIGINS or in "
    "RINGFENCE_TRAFFIC_ALLOWED_HOSTS.",
    "traffic.host_not_local": "Development answers as localhost only.",
    "traffic.message_too_large": "Raise RINGFENCE_TRAFFIC_MAX_MESSAGE if such messages "
    "are meant.",
    "traffic.peer_rewritten": "Start the server with --no-proxy-headers; the guard "
    "reads the forwarding header itself.",
    "traffic.too_many_open": "One address has too much open at once: slow bodies, "
    "streams, WebSockets. Raise RINGFENCE_TRAFFIC_MAX_OPEN if that is meant.",
    "traffic.rate_limited": "The limit ends by itself; ringfence plan TARGET shows "
    "the limits of each route.",
    "traffic.remote_in_development": "Development answers this machine only: unset "
    "RINGFENCE_ENV.",
    "traffic.repeated_header": "A proxy adds the header once more; let it replace what "
    "came.",
    "traffic.too_many_fields": "Raise RINGFENCE_TRAFFIC_MAX_FIELDS if such forms are "
    "meant.",
    "traffic.too_many_files": "Raise RINGFENCE_TRAFFIC_MAX_FILES if such forms are "
    "meant.",
}
"""What helps where a stage has refused, by the code of the refusal."""
