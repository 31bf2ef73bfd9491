// Renews the list of reports: asks for the same list again, and exchanges what has changed in it.
"use strict";

const BUSY = 1000, IDLE = 10000, CUT_OFF = 5000; // milliseconds until the next time

const list = document.getElementById("jobs");
const news = document.getElementById("news");
const cutOff = document.getElementById("cut-off");

function exchangeItem(old, fresh) {
  const before = old.querySelector(".so-far"), after = fresh.querySelector(".so-far");
  if (before.outerHTML === after.outerHTML) return;
  // Who is at the button that goes away stays in this item. The link itself is not exchanged: to
  // get the focus anew each second would be told each second.
  const hadFocus = before.contains(document.activeElement);
  before.replaceWith(after);
  if (hadFocus) old.querySelector("a").focus();
  if (old.dataset.news !== fresh.dataset.news) {
    news.textContent = old.dataset.news = fresh.dataset.news;
  }
}

function exchange(fresh) {
  for (const old of [...list.children]) {
    if (fresh.querySelector(`#${old.id}`) === null) old.remove();
  }
  [...fresh.children].forEach((item, index) => {
    const old = document.getElementById(item.id);
    if (old === null) list.insertBefore(item, list.children[index] ?? null);
    else exchangeItem(old, item);
  });
}

async function renew() {
  let pause = CUT_OFF;
  try {
    const response = await fetch(list.dataset.source);
    // The session is over: the page itself leads to the form to log in.
    if (response.redirected) return location.reload();
    if (response.ok) {
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      const fresh = page.getElementById("jobs");
      exchange(fresh);
      pause = fresh.dataset.goesOn === "yes" ? BUSY : IDLE;
    }
    cutOff.hidden = response.ok;
  } catch {
    cutOff.hidden = false;
  }
  setTimeout(renew, pause);
}

setTimeout(renew, list.dataset.goesOn === "yes" ? BUSY : IDLE);
