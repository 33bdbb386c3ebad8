// What the shop's pages do more where scripts run. Without them every form works, too.

import { ringfence } from "/auth/assets/ringfence.js";

const rf = ringfence();

// Signing out here signs out every tab, and no tab goes on showing what is private.
for (const form of document.querySelectorAll("form[data-signs-out]")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await rf.signOut();
    } catch {
      form.submit(); // as without scripts: the server then says what is wrong
    }
  });
}
rf.onSignedOut(() => location.assign("/auth/login?note=signed-out"));

// Whoever has thought about a transfer for long is asked for a proof here and now, and
// what was typed is sent then. Without scripts the page of the refusal leads there.
for (const form of document.querySelectorAll("form[data-asks-for-proof]")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const answer = await rf
      .fetch(form.action, {
        method: "POST",
        headers: { accept: "application/json" },
        body: new URLSearchParams(new FormData(form)),
      })
      .catch(() => null);
    if (answer?.redirected) location.assign(answer.url);
    else if (answer?.status !== 401) form.submit(); // nothing was done; show what is wrong
  });
}
