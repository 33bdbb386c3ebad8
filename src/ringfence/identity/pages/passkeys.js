// Passkeys on the pages: buttons that are there only where they work, and the offer
// among the e-mail addresses that a browser fills in. All of the work is done by
// ringfence.js; without scripts nothing of it is shown.
import { RingfenceProblem, ringfence } from "./ringfence.js";

const RENEWED = 240_000; // milliseconds; an offer's challenge is good for 300,000

const places = [...document.querySelectorAll("[data-passkey]")];
const works = "PublicKeyCredential" in globalThis;
const clients = new Map();

function clientAt(base) {
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

let offer = null; // the one that waits in the list of addresses

async function sign(place, does) {
  offer?.abort(); // a browser runs one ceremony at a time
  const passkeys = clientAt(place.dataset.base);
  await (does === "login" ? passkeys.signIn() : passkeys.verify());
  location.assign(place.dataset.next);
}

async function register(place) {
  const field = place.querySelector("input");
  const made = await clientAt(place.dataset.base).register(field.value);
  const codes = made.recovery_codes ?? [];
  if (codes.length === 0) return location.assign(`${place.dataset.base}/passkeys?note=passkey-added`);
  const list = place.querySelector("ol");
  for (const code of codes) {
    const item = document.createElement("li");
    item.textContent = code;
    list.append(item);
  }
  for (const part of place.children) part.hidden = !part.classList.contains("codes");
  place.querySelector("h3").focus();
}

for (const place of places) {
  const does = place.dataset.passkey;
  place.hidden = works === (does === "missing");
  const button = place.querySelector("button");
  button?.addEventListener("click", async () => {
    button.disabled = true;
    show(place, "");
    try {
      await (does === "register" ? register(place) : sign(place, does));
    } catch (error) {
      show(place, explain(error));
      if (does === "login") offerAmongAddresses(place);
    }
    button.disabled = false;
  });
  if (does === "login") offerAmongAddresses(place);
}

async function offerAmongAddresses(place) {
  if (!(await globalThis.PublicKeyCredential?.isConditionalMediationAvailable?.())) return;
  offer?.abort();
  const mine = (offer = new AbortController());
  const again = setTimeout(() => offerAmongAddresses(place), RENEWED);
  try {
    await clientAt(place.dataset.base).signIn({ mediation: "conditional", signal: mine.signal });
    location.assign(place.dataset.next);
  } catch (error) {
    if (error instanceof RingfenceProblem) show(place, explain(error));
  }
  clearTimeout(again);
}
