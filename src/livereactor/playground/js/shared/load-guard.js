/**
 * A page that came in part tells so: a classic script, since no module of the page runs when one of them is missing.
 * A network that changes while the page loads (Wi-Fi to cable, a VPN) ends every request under way in Chromium.
 */

window.addEventListener(
  "error",
  ({ target }) => {
    if (!(target instanceof HTMLScriptElement)) return;
    const [navigation] = performance.getEntriesByType("navigation");
    const isSecond = navigation instanceof PerformanceNavigationTiming && navigation.type === "reload";
    // Once by itself. More would hide a server that is gone for good behind a page that flickers.
    if (!isSecond) return location.reload();
    const text = document.createElement("p");
    text.textContent = "Part of this page failed to load. The network changed, or the server stopped. Reload the page.";
    const again = document.createElement("button");
    again.type = "button";
    again.textContent = "Reload";
    again.addEventListener("click", () => location.reload());
    const box = document.createElement("div");
    box.className = "alert";
    box.append(text, again);
    document.getElementById("alerts")?.replaceChildren(box);
  },
  true, // what a script fails with does not bubble
);
