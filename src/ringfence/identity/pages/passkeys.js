// Passkeys on the pages: buttons that are there only where they work, and the offer
// among the e-mail addresses that a browser fills in. All of the work is done by
// ringfence.js; without scripts nothing of it is shown.
import { RingfenceProblem, ringfence } from "./ringfence.js";

const RENEWED = 240_000; // milliseconds; an offer's challenge is good for 300,000

// Browsers know no passkeys for an address of numbers, 127.0.0.1 among them.
const isNamed = !/^[\d.]+$|^\[/.test(location.hostname);
const works = isNamed && "PublicKeyCredential" in globalThis;
const clients = new Map();
let offer = null; // what waits among the addresses; a browser runs one ceremony at a time

function passkeysAt(base) {
  if (!clients.has(base)) clients.set(base, ringfence({ base }));
  return clients.get(base).passkeys;
}

function explain(error) {
  if (error instanceof RingfenceProblem) return Object.values(error.fields)[0] ?? error.detail;
  if (error.name === "InvalidStateError") return "This device has a passkey for you already.";
  if (error.name === "SecurityError") return "Passkeys do not work at this address.";
  return "No passkey was used. Try again, or choose another way.";
}

function show(place, message) {
  const fault = place.querySelector(".fault");
  fault.textContent = message;
  fault.hidden = !message;
}

async function register(place) {
  const { base } = place.dataset;
  const made = await passkeysAt(base).register(place.querySelector("#label").value);
  if (!made.recovery_codes) return location.assign(`${base}/passkeys?note=passkey-added`);
  for (const code of made.recovery_codes) {
    const item = document.createElement("li");
    item.append(document.createElement("code"));
    item.firstChild.textContent = code;
    place.querySelector("ol").append(item);
  }
  place.querySelector("[name=codes]").value = made.recovery_codes.join(" ");
  document.querySelector("[data-passkey-list]").hidden = true; // as it was before
  for (const part of place.children) part.hidden = !part.classList.contains("codes");
  place.querySelector("h3").focus();
}

async function prove(place, options) {
  const passkeys = passkeysAt(place.dataset.base);
  await (place.dataset.passkey === "login" ? passkeys.signIn(options) : passkeys.verify());
  location.assign(place.dataset.next);
}

async function offerAmongAddresses(place) {
  if (!(await globalThis.PublicKeyCredential?.isConditionalMediationAvailable?.())) return;
  offer?.abort();
  const { signal } = (offer = new AbortController());
  const again = setTimeout(() => offerAmongAddresses(place), RENEWED);
  try {
    await prove(place, { mediation: "conditional", signal });
  } catch (error) {
    if (error instanceof RingfenceProblem) show(place, explain(error));
  } finally {
    if (!signal.aborted) clearTimeout(again);
  }
}

async function pressed(place, button) {
  const { passkey: does } = place.dataset;
  button.disabled = true;
  offer?.abort();
  show(place, "");
  try {
    await (does === "register" ? register(place) : prove(place));
  } catch (error) {
    show(place, explain(error));
    if (does === "login") offerAmongAddresses(place);
  } finally {
    button.disabled = false;
  }
}

for (const place of document.querySelectorAll("[data-passkey]")) {
  const does = place.dataset.passkey;
  place.hidden = works === (does === "missing");
  const button = place.querySelector("button[type=button]");
  button?.addEventListener("click", () => pressed(place, button));
  if (works && does === "login") offerAmongAddresses(place);
}
