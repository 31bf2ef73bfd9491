// Parts of a page that are marked with data-live renew themselves: the page is fetched again, and
// parts that look different are replaced. Often while something on it is data-busy, else now and then.
const pause = () => (document.querySelector("[data-busy]") ? 1500 : 5000);

function replace(part, fresh) {
  // Not under the hands of somebody who is about to press a button.
  if (fresh && !part.contains(document.activeElement) && !part.isEqualNode(fresh)) {
    part.replaceWith(fresh);
  }
}

async function renew() {
  try {
    if (!document.hidden) {
      const answer = await fetch(location.pathname + location.search.replace(/\bsaid=\w+/, ""));
      if (answer.ok && !answer.redirected) {
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        for (const part of document.querySelectorAll("[data-live]")) {
          replace(part, page.getElementById(part.id));
        }
      }
    }
  } catch {
    // The server is out of reach. It may be there the next time.
  }
  setTimeout(renew, pause());
}

setTimeout(renew, pause());
