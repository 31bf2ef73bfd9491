// Renews the list of reports: asks for the same list again, and exchanges what has changed in it.
"use strict";

const BUSY = 1000, IDLE = 10000, CUT_OFF = 5000; // milliseconds until the next time

const list = document.getElementById("jobs");
const news = document.getElementById("news");
const cutOff = document.getElementById("cut-off");

function exchange(fresh) {
  for (const item of fresh.querySelectorAll("li")) {
    const old = document.getElementById(item.id);
    if (old === null || old.outerHTML === item.outerHTML) continue;
    if (old.dataset.news !== item.dataset.news) news.textContent = item.dataset.news;
    const hadFocus = old.contains(document.activeElement) && document.activeElement.id;
    const link = old.contains(document.activeElement);
    old.replaceWith(item);
    // Who is in this item with the keyboard stays there.
    if (link) (document.getElementById(hadFocus) || item.querySelector("a")).focus();
  }
}

async function renew() {
  let pause = CUT_OFF;
  try {
    const response = await fetch(list.dataset.source);
    // The session is over: the page itself leads to the form to log in.
    if (response.redirected) return location.reload();
    if (response.ok) {
      const text = await response.text();
      const fresh = new DOMParser().parseFromString(text, "text/html").getElementById("jobs");
      exchange(fresh);
      pause = fresh.dataset.goesOn === "yes" ? BUSY : IDLE;
    }
    cutOff.hidden = response.ok;
  } catch (error) {
    cutOff.hidden = false;
  }
  setTimeout(renew, pause);
}

setTimeout(renew, list.dataset.goesOn === "yes" ? BUSY : IDLE);
