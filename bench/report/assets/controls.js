// Controls of sortable tables: a button in their title opens and closes them. Without this script they are open.
(function () {
  "use strict";
  Array.prototype.forEach.call(document.querySelectorAll("table.sortable tr.title th"), function (th) {
    if (th.textContent.trim() !== "Controls") return;
    var button = document.createElement("button");
    // Sorting replaces the body of a section, so look for it at each click.
    function set(open) {
      th.closest("tbody").nextElementSibling.hidden = !open;
      button.setAttribute("aria-expanded", String(open));
    }
    button.type = "button";
    button.textContent = "Controls";
    button.addEventListener("click", function () { set(button.getAttribute("aria-expanded") !== "true"); });
    th.textContent = "";
    th.appendChild(button);
    set(false);
  });
})();
