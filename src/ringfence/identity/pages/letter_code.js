// Takes the code of a letter's link into the form, and out of the address.
//
// It stands behind the sign # so that it is sent to nobody: no log, no proxy and no
// Referer has it. Without scripts it is copied from the letter by hand.
"use strict";

(() => {
  const place = document.querySelector("[data-takes]");
  const code = window.location.hash.slice(1);
  if (!place || !/^[\w-]{43}$/.test(code)) return;
  const field = document.getElementById(place.dataset.takes);
  field.value = code;
  field.type = "hidden";
  place.replaceWith(field);
  // Out of the history, where the next one at this browser would find it.
  window.history.replaceState(null, "", window.location.pathname + window.location.search);
})();
