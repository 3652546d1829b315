// Filter, lanes, data sets and columns of the front page; the state stands in the address, so that it can be shared.
(function () {
  "use strict";
  var form = document.querySelector("form.tools");
  if (!form) return;
  form.hidden = false;
  form.addEventListener("submit", function (event) { event.preventDefault(); });
  var byId = function (id) { return document.getElementById(id); };
  var all = function (query, root) { return Array.prototype.slice.call((root || document).querySelectorAll(query)); };
  var state = new URLSearchParams(location.hash.slice(1));

  // The name of a column with its group, such as "cold NDCG@10"; the second row of headings has the columns.
  function columns(table) {
    var groups = [];
    var rows = table.tHead.rows;
    if (rows.length > 1) all("th, td", rows[0]).forEach(function (th) {
      for (var i = 0; i < th.colSpan; i++) groups.push(th.textContent.trim());
    });
    return all("th", rows[rows.length - 1]).map(function (th, i) { return ((groups[i] || "") + " " + th.textContent).trim(); });
  }

  function apply() {
    var words = (state.get("q") || "").toLowerCase().split(/\s+/).filter(Boolean);
    var hidden = (state.get("hide") || "").split("|").filter(Boolean);
    var shown = 0;
    all("section.front").forEach(function (section) {
      section.hidden = !!state.get("data") && section.dataset.page !== state.get("data");
      all(".lane", section).forEach(function (lane) {
        lane.hidden = !!state.get("lane") && lane.dataset.lane !== state.get("lane");
      });
    });
    all("table.sortable").forEach(function (table) {
      columns(table).forEach(function (name, at) {
        var away = at > 0 && hidden.indexOf(name) >= 0;
        all("tr", table).forEach(function (row) {
          if (row.parentNode === table.tHead && row !== table.tHead.rows[table.tHead.rows.length - 1]) return;
          if (row.cells[at] && row.cells.length > 2) row.cells[at].hidden = away;
        });
      });
      if (table.tHead.rows.length > 1) {
        var names = columns(table), start = 0;
        all("th, td", table.tHead.rows[0]).forEach(function (th) {
          var width = +(th.dataset.width || (th.dataset.width = th.colSpan)), left = 0;
          for (var i = start; i < start + width; i++) left += hidden.indexOf(names[i]) < 0 || i === 0 ? 1 : 0;
          start += width;
          th.hidden = !left;
          if (left) th.colSpan = left;
        });
      }
      all("tbody tr:not(.title)", table).forEach(function (row) {
        var text = row.textContent.toLowerCase();
        var fits = words.every(function (word) { return text.indexOf(word) >= 0; });
        row.hidden = !fits && !row.classList.contains("floor");
        shown += fits && table.offsetParent !== null && !row.classList.contains("floor") ? 1 : 0;
      });
    });
    byId("count").textContent = words.length ? shown + (shown === 1 ? " row" : " rows") : "";
  }

  function change(key, value) {
    if (value) state.set(key, value); else state.delete(key);
    history.replaceState(null, "", "#" + state.toString());
    apply();
  }

  [["filter", "q", "input"], ["lane", "lane", "change"], ["data", "data", "change"]].forEach(function (each) {
    var control = byId(each[0]);
    if (!control) return;
    control.value = state.get(each[1]) || "";
    control.addEventListener(each[2], function () { change(each[1], control.value); });
  });

  var names = [];
  all("table.sortable").forEach(function (table) {
    columns(table).slice(1).forEach(function (name) { if (names.indexOf(name) < 0) names.push(name); });
  });
  names.forEach(function (name) {
    var label = document.createElement("label"), box = document.createElement("input");
    box.type = "checkbox";
    box.checked = (state.get("hide") || "").split("|").indexOf(name) < 0;
    box.addEventListener("change", function () {
      change("hide", all("#columns input").filter(function (one) { return !one.checked; })
        .map(function (one) { return one.parentNode.textContent.trim(); }).join("|"));
    });
    label.appendChild(box);
    label.appendChild(document.createTextNode(" " + name));
    byId("columns").appendChild(label);
  });

  // Scroll a wide table so that the sorted column stands beside the names.
  function show(th) {
    var box = th.closest(".wide"), first = th.parentNode.cells[0];
    var left = th.offsetLeft - first.offsetWidth, right = th.offsetLeft + th.offsetWidth - box.clientWidth;
    if (box.scrollLeft > left || box.scrollLeft < right) box.scrollLeft = left;
  }

  // Sorting: "sort=N:cold NDCG@10:ascending" for the N-th table.
  var tables = all("table.sortable");
  document.addEventListener("sort-end", function (event) {
    var th = event.target.tHead.querySelector("th[aria-sort]");
    if (th) show(th);
    if (th) change("sort", [tables.indexOf(event.target), columns(event.target)[th.cellIndex], th.getAttribute("aria-sort")].join(":"));
  });
  var wanted = (state.get("sort") || "").split(":");
  var table = tables[+wanted[0]];
  if (wanted.length === 3 && table) {
    var head = table.tHead.rows[table.tHead.rows.length - 1].cells[columns(table).indexOf(wanted[1])];
    if (head) {
      head.click();
      if (wanted[2] === "ascending") head.click();
    }
  }
  apply();
})();
