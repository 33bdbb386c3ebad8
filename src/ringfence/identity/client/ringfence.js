// The browser's side of ringfence: requests that carry the CSRF token, one refresh for
// all tabs, a proof that is asked for when one is needed, and an end to everything at
// sign-out.
//
// Nothing is kept where a script could read it later: cookies are HttpOnly, and of all
// there is to know only the CSRF token and the account's id live here, in memory. It
// runs under `script-src 'self'`, `connect-src 'self'` and Trusted Types without any
// policy: there is no text here that becomes markup or code.

const SAFE_METHODS = new Set(["GET", "HEAD", "OPTIONS", "TRACE"]);
const PATIENCE = 15_000; // milliseconds that other tabs wait for one that refreshes

// A token is taken back by a change of roles, too; the refresh token beside it is good.
const RENEWABLE = new Set([
  "identity.token_expired", "identity.token_revoked", "identity.token_invalid",
]);
const REFRESH_INVALID = "identity.refresh_invalid";
const SECOND_FACTOR = "identity.second_factor_required";
const NOT_SIGNED_IN = "access.not_signed_in";
const SECOND_FACTORS = ["totp", "recovery-code", "passkey"];
const STEP_UPS = new Set([
  "access.not_fresh", "access.factor_needed", "identity.second_factor_missing", SECOND_FACTOR,
]);
const STALE_CSRF = new Set(["browser.csrf_missing", "browser.csrf_wrong"]);
const SESSION_ENDED = 1008; // RFC 6455, section 7.4.1: what the guard closes with

/** A refusal by the server, or a request that never got there (status 0). */
export class RingfenceProblem extends Error {
  /**
   * @param {Record<string, any>} members Of the problem document (RFC 9457).
   * @param {{ status: number, retryAfter?: number | null, cause?: unknown }} about
   */
  constructor(members, { status, retryAfter = null, cause }) {
    super(members.detail || `The server answered with ${status}.`, { cause });
    this.name = "RingfenceProblem";
    /** Stable: `access.not_fresh`, say. */
    this.code = String(members.code ?? "client.no_problem_document");
    this.status = status;
    /** One sentence for people. */
    this.detail = this.message;
    /** What is wrong with each field: `{ email: "..." }`. @type {Record<string, string>} */
    this.fields = Object.fromEntries(
      (members.errors ?? []).map((error) => [error.field, error.message]),
    );
    /** Which second factors would do, if one is asked for. @type {string[]} */
    this.factors = members.factors ?? [];
    /** Under this the server's ledger knows the rest. */
    this.requestId = String(members.request_id ?? "");
    /** Seconds to wait before trying again, if the server has said. @type {number | null} */
    this.retryAfter = retryAfter;
  }

  /**
   * Read what a response refuses. The response itself can still be read.
   *
   * @param {Response} response
   */
  static async from(response) {
    const isProblem = response.headers.get("content-type")?.includes("problem+json");
    const members = isProblem ? await response.clone().json().catch(() => ({})) : {};
    return new RingfenceProblem(members ?? {}, {
      status: response.status,
      retryAfter: secondsOf(response.headers.get("retry-after")),
    });
  }
}

/**
 * Make a client. Each tab has its own; they speak with one another.
 *
 * @param {object} [options]
 * @param {string} [options.base] Where the identity routes are, on this origin.
 * @param {StepUp} [options.stepUp] Asks for one more proof. A dialog, unless given.
 * @param {Partial<typeof TEXTS>} [options.texts] Other words for the dialog.
 * @typedef {(ask: Ask) => Promise<boolean>} StepUp Settles with whether it was proved.
 * @typedef {object} Ask
 * @property {RingfenceProblem} problem Why.
 * @property {string[]} ways Any of these would do: password, totp, recovery-code, passkey.
 * @property {string} email Whose proof it is, empty if not known yet.
 * @property {(way: string, value?: string) => Promise<void>} prove Throws a problem.
 */
export function ringfence({ base = "/auth", stepUp, texts } = {}) {
  const root = new URL(base.replace(/\/$/, "") + "/", location.href);
  if (root.origin !== location.origin) {
    throw new TypeError(`base must be a path of this origin, not ${root.origin}`);
  }
  const at = (/** @type {string} */ path) => new URL(path, root).href;
  const channel = openChannel(`ringfence ${root.pathname}`);
  const streams = new Set();
  const listeners = new Set();
  const asking = new Map();
  const askPerson = stepUp ?? ((ask) => stepUpDialog(ask, at("assets/step-up.css"), texts));

  // What this tab knows. Of the CSRF token: null is "not asked yet", "" is "none".
  const page = document.querySelector('meta[name="csrf-token"]')?.getAttribute("content");
  let csrfToken = page ?? null;
  let account = null; // who is signed in, once known
  let isSignedIn = Boolean(page);
  let mayShowPrivate = isSignedIn; // and so it stays: a page is not unprinted
  let refreshes = 0; // that this tab has made or heard of
  let refreshing = null;
  let refreshNotBefore = 0;

  // ---- what tabs tell each other: never a token, only that something has happened

  function tell(happened) {
    channel?.postMessage(happened);
  }

  channel?.addEventListener("message", ({ data: happened }) => {
    if (happened === "refreshed") {
      refreshes += 1;
      csrfToken = null;
    } else if (happened === "renewed") {
      csrfToken = null;
    } else if (happened === "signed-out") {
      end("elsewhere");
    }
  });

  function end(/** @type {string} */ reason) {
    csrfToken = null;
    account = null;
    isSignedIn = false;
    for (const stream of streams) stream.close();
    streams.clear();
    for (const listener of [...listeners]) listener({ reason });
  }

  // ---- requests

  /**
   * As `fetch`. To this origin it carries the CSRF token where something is changed;
   * a request that was refused for want of a fresh token or of a proof is sent once
   * more when that is mended. To other origins nothing is added.
   *
   * @param {RequestInfo | URL} input
   * @param {RequestInit} [init]
   */
  async function send(input, init = {}) {
    return repeating(input, init, { mayAsk: true });
  }

  async function repeating(input, init, { mayAsk }) {
    const request = new Request(input, init);
    if (new URL(request.url).origin !== location.origin) return fetch(request);
    const isOneWay = init.body instanceof ReadableStream;
    const mended = new Set();
    for (;;) {
      const since = refreshes;
      const response = await fetch(await dressed(isOneWay ? request : request.clone()));
      if (response.status !== 401 && response.status !== 403) return response;
      const problem = await RingfenceProblem.from(response);
      const remedy = remedyFor(problem, { mayAsk: mayAsk && !isOneWay });
      if (remedy === null || mended.has(remedy)) return response;
      mended.add(remedy);
      const isMended = await remedy(problem, since);
      if (!isMended || isOneWay) return response;
    }
  }

  function remedyFor(problem, { mayAsk }) {
    const { status, code } = problem;
    if (status === 403) return STALE_CSRF.has(code) ? renewCsrfToken : null;
    if (RENEWABLE.has(code)) return refresh;
    if (code === NOT_SIGNED_IN && isSignedIn) endForAll();
    return mayAsk && STEP_UPS.has(code) ? proveMore : null;
  }

  // "same-origin" makes a redirect to another origin fail instead of taking the token
  // along: fetch would keep the header, and an open redirect would give it away.
  async function dressed(request) {
    if (SAFE_METHODS.has(request.method)) return request;
    const token = await currentCsrfToken();
    if (!token) return request;
    const headers = new Headers(request.headers);
    headers.set("X-CSRF-Token", token);
    return new Request(request, { headers, mode: "same-origin" });
  }

  async function currentCsrfToken() {
    if (csrfToken === null) await me().catch(() => {}); // refused later, if it is needed
    return csrfToken ?? "";
  }

  async function renewCsrfToken() {
    csrfToken = null;
    return (await currentCsrfToken()) !== "";
  }

  /** Ask one of the identity routes. Returns what it answers, throws a problem. */
  async function call(path, fields, { mayAsk = false, method = "POST" } = {}) {
    const init = { method, headers: { accept: "application/json" }, cache: "no-store" };
    if (fields !== undefined) {
      init.headers["content-type"] = "application/json";
      init.body = JSON.stringify(fields);
    }
    let response;
    try {
      response = await repeating(at(path), init, { mayAsk });
    } catch (cause) {
      const members = { code: "client.unreachable", detail: "The server was not reached." };
      throw new RingfenceProblem(members, { status: 0, cause });
    }
    if (!response.ok) throw await RingfenceProblem.from(response);
    return response.status === 204 ? null : response.json().catch(() => null);
  }

  /** Return who is signed in, `null` if nobody is. */
  async function me() {
    try {
      return known(await call("me", undefined, { method: "GET" }));
    } catch (problem) {
      if (problem.code !== NOT_SIGNED_IN) throw problem;
      csrfToken = "";
      return null;
    }
  }

  function known({ csrf_token: token, ...rest }) {
    csrfToken = token;
    account = rest;
    isSignedIn = mayShowPrivate = true;
    return rest;
  }

  // ---- token cookies: one refresh for all tabs

  /** Refresh, unless somebody has since the request that was refused. */
  async function refresh(_problem, since) {
    if (refreshes !== since) return true;
    refreshing ??= alone(`ringfence refresh ${root.pathname}`, () => refreshOnce(since));
    try {
      return await refreshing;
    } finally {
      refreshing = null;
    }
  }

  async function refreshOnce(since) {
    if (refreshes !== since) return true; // heard while waiting for the lock
    const signal = AbortSignal.timeout(PATIENCE);
    // The message of another tab may still be on its way, its cookies are here already.
    const headers = { accept: "application/json" };
    const probe = await fetch(at("me"), { headers, cache: "no-store", signal });
    if (probe.ok) {
      refreshes += 1;
      known(await probe.json());
      return true;
    }
    if (!RENEWABLE.has((await RingfenceProblem.from(probe)).code)) return false;
    if (Date.now() < refreshNotBefore) return false;
    const response = await fetch(at("token/refresh"), {
      method: "POST",
      headers: { accept: "application/json", "content-type": "application/json" },
      body: JSON.stringify({ transport: "cookie" }),
      mode: "same-origin",
      signal,
    });
    if (response.ok) {
      refreshes += 1;
      csrfToken = null;
      tell("refreshed");
      return true;
    }
    const { status, code, retryAfter } = await RingfenceProblem.from(response);
    refreshNotBefore = Date.now() + (retryAfter ?? 0) * 1000;
    const isOver = status === 401 || code === REFRESH_INVALID;
    if (isOver) endForAll();
    return isOver; // repeated, the request is answered as nobody's
  }

  // ---- one more proof

  const proveMore = (problem) => ask(problem, prove);

  /** Ask for a proof: one question at a time for each reason, however many wait for it. */
  async function ask(problem, proof) {
    const { code } = problem;
    if (!asking.has(code)) {
      const asked = question(problem, proof).finally(() => asking.delete(code));
      asking.set(code, asked);
    }
    return asking.get(code);
  }

  async function question(problem, proof) {
    const ways = await waysFor(problem);
    if (ways.length === 0) return false; // nothing that this account has would do
    return askPerson({ problem, ways, email: account?.email ?? "", prove: proof });
  }

  /** Return what would do, of what the account has. */
  async function waysFor({ code, factors }) {
    if (code === SECOND_FACTOR) return factors; // says so itself, and nobody is in yet
    const would = factors.length > 0 ? factors : ["password", ...SECOND_FACTORS];
    const held = await call("two-step", undefined, { method: "GET" }).catch(() => null);
    const has = {
      password: true,
      totp: held?.totp.length > 0,
      passkey: held?.passkeys.length > 0,
      "recovery-code": held?.recovery_codes > 0,
    };
    return would.filter((way) => has[way]);
  }

  async function prove(way, value = "") {
    if (way === "password") await call("confirm", { password: value });
    else if (way === "passkey") await verifyPasskey();
    else await call("totp/verify", { code: value }); // or a recovery code: it can tell
    renewed();
  }

  /** The other half of a sign-in for tokens. A passkey opens a session instead. */
  async function proveForTokens(way, value) {
    if (way === "passkey") await prove(way);
    else await call("token", { code: value, transport: "cookie" });
  }

  function renewed() {
    csrfToken = null; // it belongs to the session, and that is a new one now
    tell("renewed");
  }

  // ---- signing in and out

  /**
   * Sign in. Asks for the second factor, if the account has one.
   *
   * @param {{ email: string, password: string, tokens?: boolean }} who With `tokens`
   *   the browser gets short-lived tokens in cookies in place of a session.
   */
  async function signIn({ email, password, tokens = false }) {
    try {
      if (tokens) await call("token", { email, password, transport: "cookie" });
      else await call("login", { email, password });
    } catch (problem) {
      account = { email }; // for the dialog, so that a password manager knows
      const proof = tokens ? proveForTokens : prove;
      if (problem.code !== SECOND_FACTOR || !(await ask(problem, proof))) {
        account = null;
        throw problem;
      }
    }
    renewed();
    return me();
  }

  /** Sign out: in all tabs, with everything that was opened. */
  async function signOut() {
    try {
      await call("logout", {});
    } catch (problem) {
      if (problem.status !== 401) throw problem; // who is out already is out
    }
    endForAll("here");
  }

  function endForAll(reason = "ended") {
    tell("signed-out");
    end(reason);
  }

  /**
   * Be told that nobody is signed in any more. Returns what ends that.
   *
   * @param {(about: { reason: string }) => void} listener `here`, `elsewhere` (another
   *   tab) or `ended` (by the server).
   */
  function onSignedOut(listener) {
    listeners.add(listener);
    return () => listeners.delete(listener);
  }

  // A page that comes back from a cache of the browser shows what it showed. Whoever
  // presses "back" after a sign-out must not see it.
  async function lookAgain() {
    const { style } = document.documentElement;
    style.setProperty("visibility", "hidden", "important");
    const before = account?.id;
    const now = await me().catch(() => null);
    if (now === null || (before && now.id !== before)) location.reload();
    else style.removeProperty("visibility");
  }

  addEventListener("pageshow", (event) => {
    if (event.persisted && mayShowPrivate) lookAgain();
  });
  const [arrival] = performance.getEntriesByType("navigation");
  const isFromCache = arrival?.type === "back_forward" && arrival.transferSize === 0;
  if (isFromCache && mayShowPrivate) lookAgain();

  // ---- streams

  /**
   * Open an event stream that ends at sign-out.
   *
   * @param {string | URL} url
   * @param {EventSourceInit} [options]
   */
  function events(url, options) {
    const stream = new EventSource(url, options);
    streams.add(stream);
    stream.addEventListener("error", () => {
      if (stream.readyState === EventSource.CLOSED) lost(stream);
    });
    return stream;
  }

  /**
   * Open a WebSocket that ends at sign-out.
   *
   * @param {string | URL} url A path will do.
   * @param {string | string[]} [protocols]
   */
  function socket(url, protocols) {
    const address = new URL(url, location.href);
    address.protocol = address.protocol.replace(/^http/, "ws");
    const stream = new WebSocket(address, protocols);
    streams.add(stream);
    stream.addEventListener("close", ({ code }) => {
      if (code === SESSION_ENDED) lost(stream);
      else streams.delete(stream);
    });
    return stream;
  }

  function lost(stream) {
    // Whether the session has ended is for the server to say; whoever has signed out
    // here has closed the stream before.
    if (streams.delete(stream)) me().catch(() => {});
  }

  // ---- passkeys

  async function registerPasskey(/** @type {string} */ label) {
    const options = await call("passkeys/register/options", {}, { mayAsk: true });
    const publicKey = creationOptions(options.publicKey ?? options);
    const credential = await navigator.credentials.create({ publicKey });
    const made = await call("passkeys/register", { label, credential: asJson(credential) });
    renewed();
    return made;
  }

  async function assertPasskey(where, { mediation, signal } = {}) {
    const options = await call(`passkeys/${where}/options`, {});
    const publicKey = requestOptions(options.publicKey ?? options);
    const credential = await navigator.credentials.get({ publicKey, mediation, signal });
    await call(`passkeys/${where}`, { credential: asJson(credential) });
    renewed();
    return me();
  }

  const signInWithPasskey = (options) => assertPasskey("login", options);
  const verifyPasskey = () => assertPasskey("verify");

  return Object.freeze({
    fetch: send,
    me,
    signIn,
    signOut,
    onSignedOut,
    events,
    socket,
    passkeys: Object.freeze({
      register: registerPasskey,
      signIn: signInWithPasskey,
      verify: verifyPasskey,
    }),
  });
}

/** Run `work` while no other tab runs it. Without Web Locks (plain http on another
 * machine) tabs may meet; the server then gives both the same answer. */
function alone(name, work) {
  return navigator.locks ? navigator.locks.request(name, work) : work();
}

function openChannel(name) {
  return typeof BroadcastChannel === "function" ? new BroadcastChannel(name) : null;
}

/** RFC 9110, section 10.2.3: seconds, or a date. */
function secondsOf(retryAfter) {
  if (retryAfter === null) return null;
  if (/^\d+$/.test(retryAfter)) return Number(retryAfter);
  const left = (Date.parse(retryAfter) - Date.now()) / 1000;
  return Number.isNaN(left) ? null : Math.max(0, Math.ceil(left));
}

// ---- WebAuthn's JSON (WebAuthn level 3, section 5.1). Written out, because older
// browsers lack it and password managers hand out credentials that cannot say it.

function creationOptions(json) {
  return {
    ...json,
    challenge: bytesOf(json.challenge),
    user: { ...json.user, id: bytesOf(json.user.id) },
    excludeCredentials: (json.excludeCredentials ?? []).map(described),
  };
}

function requestOptions(json) {
  return {
    ...json,
    challenge: bytesOf(json.challenge),
    allowCredentials: (json.allowCredentials ?? []).map(described),
  };
}

const described = (credential) => ({ ...credential, id: bytesOf(credential.id) });

function asJson(credential) {
  const { response } = credential;
  const sent = { clientDataJSON: textOf(response.clientDataJSON) };
  for (const name of ["attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (response[name]) sent[name] = textOf(response[name]);
  }
  if (response.getTransports) sent.transports = response.getTransports();
  return {
    id: credential.id,
    rawId: textOf(credential.rawId),
    type: credential.type,
    authenticatorAttachment: credential.authenticatorAttachment ?? undefined,
    clientExtensionResults: credential.getClientExtensionResults(),
    response: sent,
  };
}

function bytesOf(base64url) {
  const binary = atob(base64url.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(binary, (character) => character.charCodeAt(0));
}

function textOf(buffer) {
  const binary = String.fromCharCode(...new Uint8Array(buffer));
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

// ---- the dialog

const TEXTS = {
  title: "Confirm that it is you",
  why: "What you are about to do asks for one more proof.",
  password: "Password",
  totp: "Code from your authenticator app",
  "recovery-code": "Recovery code",
  usePassword: "Use your password",
  useTotp: "Use a one-time code",
  useRecoveryCode: "Use a recovery code",
  usePasskey: "Use a passkey",
  confirm: "Confirm",
  cancel: "Cancel",
  wait: "Too many attempts. Try again in {seconds} seconds.",
  passkeyFailed: "The passkey was not used. Try again, or choose another way.",
};

const FIELDS = {
  password: { type: "password", autocomplete: "current-password" },
  totp: { type: "text", autocomplete: "one-time-code", inputmode: "numeric" },
  "recovery-code": { type: "text", autocomplete: "off", autocapitalize: "none" },
};

/**
 * Ask in a modal dialog: the browser keeps the focus in it, Escape leaves it, and the
 * focus returns to where it was.
 *
 * @param {Ask} ask
 * @param {string} stylesheet Address of its looks.
 * @param {Partial<typeof TEXTS>} [texts]
 * @returns {Promise<boolean>}
 */
async function stepUpDialog({ ways, email, prove }, stylesheet, texts) {
  const words = { ...TEXTS, ...texts };
  const typed = Object.keys(FIELDS).filter((way) => ways.includes(way));
  const withPasskey = ways.includes("passkey") && "PublicKeyCredential" in globalThis;
  await styled(stylesheet);

  const id = `ringfence-${crypto.getRandomValues(new Uint32Array(1))[0]}`;
  const fault = make("p", { role: "alert", class: "fault", id: `${id}-fault` });
  const label = make("label", { for: `${id}-field` });
  const field = make("input", { id: `${id}-field`, required: "", spellcheck: "false" });
  const confirm = make("button", { type: "submit", class: "main" }, words.confirm);
  const passkey = make("button", { type: "button", class: "main" }, words.usePasskey);
  const cancel = make("button", { type: "button" }, words.cancel);
  const others = make("div", { class: "others" });
  const form = make(
    "form",
    { method: "dialog" },
    make("h2", { id: `${id}-title` }, words.title),
    make("p", { id: `${id}-why` }, words.why),
    fault,
  );
  if (typed.length > 0) {
    // Lets a password manager know whose password it is.
    form.append(
      make("input", { autocomplete: "username", value: email, hidden: "", disabled: "" }),
      make("div", { class: "field" }, label, field),
    );
  }
  const actions = make("div", { class: "actions" }, cancel);
  if (typed.length > 0) actions.append(confirm);
  if (withPasskey) (typed.length > 0 ? others : actions).append(passkey);
  if (typed.length > 0) passkey.classList.remove("main");
  form.append(actions, others);

  const dialog = make(
    "dialog",
    {
      class: "ringfence-step-up",
      "aria-labelledby": `${id}-title`,
      "aria-describedby": `${id}-why`,
    },
    form,
  );

  const choices = {
    password: words.usePassword,
    totp: words.useTotp,
    "recovery-code": words.useRecoveryCode,
  };
  let way = typed[0];

  function choose(/** @type {string} */ chosen) {
    way = chosen;
    field.value = "";
    label.textContent = words[way];
    for (const name of ["type", "autocomplete", "inputmode", "autocapitalize"]) {
      if (FIELDS[way][name]) field.setAttribute(name, FIELDS[way][name]);
      else field.removeAttribute(name);
    }
    const rest = typed.filter((other) => other !== way).map((other) => {
      const button = make("button", { type: "button" }, choices[other]);
      button.addEventListener("click", () => {
        say("");
        choose(other);
        field.focus();
      });
      return button;
    });
    others.replaceChildren(...(withPasskey ? [passkey] : []), ...rest);
  }

  function say(/** @type {string} */ sentence) {
    fault.textContent = sentence;
    if (sentence) {
      field.setAttribute("aria-invalid", "true");
      field.setAttribute("aria-describedby", fault.id);
    } else {
      field.removeAttribute("aria-invalid");
      field.removeAttribute("aria-describedby");
    }
  }

  return new Promise((resolve) => {
    let isProved = false;
    let isBusy = false;

    async function attempt(/** @type {string} */ chosen, value = "") {
      if (isBusy) return; // a second Enter is not a second guess
      isBusy = true;
      say("");
      dialog.setAttribute("aria-busy", "true");
      try {
        await prove(chosen, value);
        isProved = true;
        dialog.close();
      } catch (problem) {
        if (problem.code === NOT_SIGNED_IN) dialog.close();
        say(sentenceFor(problem, words));
        field.select();
      } finally {
        isBusy = false;
        dialog.removeAttribute("aria-busy");
      }
    }

    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (way !== undefined) attempt(way, field.value.trim() === "" ? "" : field.value);
    });
    passkey.addEventListener("click", () => attempt("passkey"));
    cancel.addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => {
      field.value = "";
      dialog.remove();
      resolve(isProved);
    });
    if (way !== undefined) choose(way);
    document.body.append(dialog);
    dialog.showModal();
    (way === undefined ? passkey : field).focus();
  });
}

function sentenceFor(problem, words) {
  if (!(problem instanceof RingfenceProblem)) return words.passkeyFailed;
  if (problem.retryAfter === null) return problem.detail;
  return words.wait.replace("{seconds}", String(problem.retryAfter));
}

/** Load the dialog's looks, once for the document, and wait until they are there. */
function styled(/** @type {string} */ href) {
  const found = [...document.styleSheets].some((sheet) => sheet.href === href);
  if (found) return Promise.resolve();
  const link = make("link", { rel: "stylesheet", href });
  return new Promise((resolve) => {
    link.addEventListener("load", resolve);
    link.addEventListener("error", resolve); // plain looks are better than no question
    document.head.append(link);
  });
}

function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}
