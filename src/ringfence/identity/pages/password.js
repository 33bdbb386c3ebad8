// The strength meter and the button that shows a new password.
//
// The server decides; this says early what it would say. It knows only the commonest
// words, so that its praise means "nothing obvious was found here". The password leaves
// the page with the form and in no other way.
"use strict";

(() => {
  const ENOUGH = 26.6; // bits, as on the server
  const ANY_CHARACTER = 4;
  const PAUSE = 700; // milliseconds without a key before a screen reader is told

  const COMMON =
    "password passwort passw0rd qwerty qwertz azerty iloveyou letmein welcome admin " +
    "administrator dragon monkey master shadow sunshine princess football baseball " +
    "superman batman michael jennifer jordan hunter thomas charlie daniel login " +
    "secret summer winter spring autumn hello freedom whatever trustno1 changeme " +
    "starwars pokemon computer internet soccer hockey killer george andrew joshua " +
    "love test pass user root guest ringfence";
  const ROWS = [
    "1234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm", "qwertzuiop", "yxcvbnm",
    "azertyuiop", "qsdfghjklm", "wxcvbn",
  ];
  const LEET = { "@": "a", 4: "a", 3: "e", 0: "o", $: "s", 5: "s", 7: "t", 1: "i", "!": "i" };

  const beside = new Set();
  for (const row of ROWS) {
    for (let i = 1; i < row.length; i += 1) {
      beside.add(row[i - 1] + row[i]).add(row[i] + row[i - 1]);
    }
  }

  function follows(one, other) {
    const step = other.codePointAt(0) - one.codePointAt(0);
    return [step, beside.has(one + other)];
  }

  // Where a run of one kind that begins at `start` ends: aaaa, abcd, dcba, asdf.
  function endOfRun(text, start) {
    let longest = start + 1;
    for (const kind of [0, 1, -1, "beside"]) {
      let end = start + 1;
      while (end < text.length) {
        const [step, isBeside] = follows(text[end - 1], text[end]);
        if (kind === "beside" ? !isBeside : step !== kind) break;
        end += 1;
      }
      longest = Math.max(longest, end);
    }
    return longest;
  }

  function repeated(text) {
    const whole = text.join("\u0000");
    for (let size = 1; size <= text.length / 2; size += 1) {
      if (text.length % size) continue;
      const unit = text.slice(0, size);
      if (Array(text.length / size).fill(unit).flat().join("\u0000") === whole) return unit;
    }
    return text;
  }

  // The cheapest way to put the password together, in bits.
  function bits(password, names) {
    const words = new Set([...COMMON.split(" "), ...names]);
    const text = repeated([...password.toLowerCase()].slice(0, 128));
    const plain = text.map((sign) => LEET[sign] ?? sign);
    const best = [0];
    for (let end = 1; end <= text.length; end += 1) best.push(Infinity);
    for (let start = 0; start < text.length; start += 1) {
      const offer = (end, cost) => {
        best[end] = Math.min(best[end], best[start] + cost);
      };
      offer(start + 1, ANY_CHARACTER);
      const run = endOfRun(text, start);
      if (run - start >= 3) offer(run, ANY_CHARACTER + Math.log2(run - start));
      for (let end = start + 3; end <= Math.min(text.length, start + 24); end += 1) {
        const written = text.slice(start, end).join("");
        if (words.has(written)) offer(end, 5);
        else if (words.has(plain.slice(start, end).join(""))) offer(end, 6);
        if (/^(19|20)\d\d$/.test(written)) offer(end, 7);
      }
    }
    return best[text.length];
  }

  function judge(password, shortest, names) {
    const text = password.normalize("NFC");
    const missing = shortest - [...text].length;
    const found = bits(text, names);
    if (!text) return [0, ""];
    if (found < ENOUGH && missing <= 0) {
      return [1, "Too easy to guess: names, common passwords or repetitions. Add words that have nothing to do with them."];
    }
    if (missing > 0) {
      return [1, `${missing} more ${missing === 1 ? "character" : "characters"} needed.`];
    }
    if (found < 45) return [2, "Fair. Another word would make it much harder to guess."];
    if (found < 65) return [3, "Good: nothing obvious was found in it."];
    return [4, "Strong: long, and nothing obvious was found in it."];
  }

  // The names of the site and the owner: whole, without their marks, and in parts.
  function namesFor(panel, form) {
    const email = form?.elements.namedItem("email")?.value ?? "";
    const wholes = `${panel.dataset.names} ${email}`.toLowerCase().split(/[\s@]+/u);
    const parts = wholes.map((name) => name.split(/[^\p{L}\p{N}]+/u));
    const all = [...wholes, ...parts.map((each) => each.join("")), ...parts.flat()];
    return all.filter((name) => name.length >= 3);
  }

  for (const panel of document.querySelectorAll("[data-judges]")) {
    const input = document.getElementById(panel.dataset.judges);
    const meter = panel.querySelector("meter");
    const verdict = panel.querySelector(".verdict");
    let waiting = 0;
    const look = () => {
      const shortest = Number(panel.dataset.least);
      const [level, text] = judge(input.value, shortest, namesFor(panel, input.form));
      panel.hidden = !input.value;
      meter.value = level;
      clearTimeout(waiting);
      waiting = setTimeout(() => {
        verdict.textContent = text;
      }, verdict.textContent ? PAUSE : 0);
    };
    input.addEventListener("input", look);
    if (input.value) look();
  }

  for (const button of document.querySelectorAll("[data-shows]")) {
    const input = document.getElementById(button.dataset.shows);
    const show = (isShown) => {
      input.type = isShown ? "text" : "password";
      button.textContent = isShown ? "Hide" : "Show";
      button.setAttribute("aria-label", `${button.textContent} the password`);
    };
    button.hidden = false;
    button.addEventListener("click", () => show(input.type === "password"));
    // A field that is sent as text may be remembered by the browser as any other text.
    input.form?.addEventListener("submit", () => show(false));
  }
})();
