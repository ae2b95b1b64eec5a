"use strict";
(() => {
  const PLANES = ["axial", "coronal", "sagittal"]; // in the order of NiiVue's slice types
  const AXIS = { axial: 2, coronal: 1, sagittal: 0 }; // of voxels whose axes point to Right, Anterior, Superior
  const WITHIN = { axial: [0, 1], coronal: [0, 2], sagittal: [1, 2] };
  const $ = (selector) => document.querySelector(selector);
  const all = (selector) => [...document.querySelectorAll(selector)];
  const scene = JSON.parse($("#scene").textContent);
  const contours = scene.contours.map((contour) => ({ ...contour, shown: true, paths: new Map() }));
  const stage = $("#stage");
  const panes = Object.fromEntries(all(".pane").map((pane) => [pane.dataset.plane, pane]));
  let active = "axial";
  let slices, solid;

  // --- Slices: numbers grow towards Superior, Posterior and Left, as in the tables.

  const flip = (plane, index) => (plane === "axial" ? index : scene.slices[plane] - 1 - index);
  const extent = (plane) => scene.grid[AXIS[plane]] * scene.factor[AXIS[plane]];

  function sliceOf(plane) {
    const index = Math.floor(slices.scene.crosshairPos[AXIS[plane]] * extent(plane) + 1e-4);
    return flip(plane, Math.max(0, Math.min(scene.slices[plane] - 1, index)));
  }

  function goTo(plane, slice) {
    const place = Math.max(0, Math.min(scene.slices[plane] - 1, slice));
    slices.scene.crosshairPos[AXIS[plane]] = (flip(plane, place) + 0.5) / extent(plane);
  }

  function step(count) {
    const factor = scene.factor[AXIS[active]];
    goTo(active, sliceOf(active) + count * factor);
    slices.drawScene();
  }

  function hasContour(plane, slice) {
    const voxel = Math.floor(flip(plane, slice) / scene.factor[AXIS[plane]]);
    return contours.some((contour) => contour.shown && contour.image && occupied(contour, AXIS[plane]).has(voxel));
  }

  function occupied(contour, axis) {
    contour.occupied ??= {};
    if (!contour.occupied[axis]) {
      const found = new Set();
      const [width, height] = contour.size;
      contour.image.forEach((value, index) => {
        if (value) {
          const voxel = [index % width, Math.floor(index / width) % height, Math.floor(index / (width * height))];
          found.add(voxel[axis] + contour.origin[axis]);
        }
      });
      contour.occupied[axis] = found;
    }
    return contour.occupied[axis];
  }

  function nextWithContour(direction) {
    for (let slice = sliceOf(active) + direction; slice >= 0 && slice < scene.slices[active]; slice += direction) {
      if (hasContour(active, slice)) {
        goTo(active, slice);
        slices.drawScene();
        return;
      }
    }
  }

  function readHash() {
    for (const [plane, slice] of new URLSearchParams(location.hash.slice(1))) {
      if (plane in AXIS && /^\d+$/.test(slice)) {
        goTo(plane, Number(slice));
        active = plane;
      }
    }
  }

  let written;
  function writeHash() {
    clearTimeout(written);
    written = setTimeout(() => {
      const order = [...PLANES.filter((plane) => plane !== active), active]; // who opens it goes on in the last one
      const hash = `#${order.map((plane) => `${plane}=${sliceOf(plane)}`).join("&")}`;
      try {
        history.replaceState(null, "", hash);
      } catch {
        // Inside the report the page has no address of its own.
      }
    }, 200);
  }

  // --- Contours: marching squares at 0.5 on a slice of a mask, in voxels; drawn with lines of one width.

  const EDGES = { t: [0.5, 0], r: [1, 0.5], b: [0.5, 1], l: [0, 0.5] };
  // The edges that a line joins, by the corners inside: 1 top left, 2 top right, 4 bottom right, 8 bottom left.
  const LINES = ["", "lt", "tr", "lr", "rb", "ltrb", "tb", "lb", "lb", "tb", "lbtr", "rb", "lr", "tr", "lt", ""];

  function outline(contour, plane, voxel) {
    const key = `${plane}${voxel}`;
    if (!contour.paths.has(key)) contour.paths.set(key, trace(contour, plane, voxel));
    return contour.paths.get(key);
  }

  function trace(contour, plane, voxel) {
    const axis = AXIS[plane];
    const depth = voxel - contour.origin[axis];
    if (depth < 0 || depth >= contour.size[axis]) return null;
    const [across, up] = WITHIN[plane];
    const strides = [1, contour.size[0], contour.size[0] * contour.size[1]];
    const [width, height] = [contour.size[across], contour.size[up]];
    const inside = (x, y) =>
      x >= 0 && y >= 0 && x < width && y < height &&
      contour.image[depth * strides[axis] + x * strides[across] + y * strides[up]] > 0;
    const path = new Path2D();
    let drawn = false;
    for (let y = -1; y < height; y++) {
      for (let x = -1; x < width; x++) {
        const corners = inside(x, y) | (inside(x + 1, y) << 1) | (inside(x + 1, y + 1) << 2) | (inside(x, y + 1) << 3);
        const line = LINES[corners];
        for (let end = 0; end < line.length; end += 2) {
          const [from, to] = [EDGES[line[end]], EDGES[line[end + 1]]];
          path.moveTo(contour.origin[across] + x + from[0], contour.origin[up] + y + from[1]);
          path.lineTo(contour.origin[across] + x + to[0], contour.origin[up] + y + to[1]);
          drawn = true;
        }
      }
    }
    return drawn ? path : null;
  }

  function drawContours() {
    const canvas = $("#contours");
    const { width, height } = slices.gl.canvas;
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const pen = canvas.getContext("2d");
    pen.clearRect(0, 0, width, height);
    pen.lineCap = pen.lineJoin = "round";
    const scale = slices.uiData.dpr || 1;
    for (const tile of slices.screenSlices) {
      const plane = PLANES[tile.axCorSag];
      if (!plane) continue;
      const voxel = Math.floor(flip(plane, sliceOf(plane)) / scene.factor[AXIS[plane]]);
      const [left, top, wide, high] = tile.leftTopWidthHeight;
      const matrix = placing(tile, plane);
      pen.save();
      pen.beginPath();
      pen.rect(left, top, wide, high);
      pen.clip();
      const lines = contours.flatMap((contour) => {
        const path = contour.shown && contour.image && outline(contour, plane, voxel);
        if (!path) return [];
        const placed = new Path2D();
        placed.addPath(path, matrix);
        return [{ placed, colour: contour.colour, thick: (contour.reference ? 2.6 : 1.5) * scale }];
      });
      for (const { placed, thick } of lines) stroke(pen, placed, thick + 1.4 * scale, "#0009");
      for (const { placed, thick, colour } of lines) stroke(pen, placed, thick, colour);
      drawCross(pen, tile, plane, matrix, scale);
      drawSides(pen, tile, plane, scale);
      pen.restore();
    }
  }

  function stroke(pen, path, width, colour) {
    pen.lineWidth = width;
    pen.strokeStyle = colour;
    pen.stroke(path);
  }

  function drawCross(pen, tile, plane, matrix, scale) {
    const [left, top, wide, high] = tile.leftTopWidthHeight;
    const [x, y] = WITHIN[plane].map((axis) => slices.scene.crosshairPos[axis] * scene.grid[axis] - 0.5);
    const at = matrix.transformPoint(new DOMPoint(x, y));
    const gap = 9 * scale;
    pen.lineWidth = scale;
    pen.strokeStyle = "#ffffff70";
    pen.beginPath();
    for (const [from, to] of [[left, at.x - gap], [at.x + gap, left + wide]]) {
      pen.moveTo(from, at.y);
      pen.lineTo(Math.max(from, to), at.y);
    }
    for (const [from, to] of [[top, at.y - gap], [at.y + gap, top + high]]) {
      pen.moveTo(at.x, from);
      pen.lineTo(at.x, Math.max(from, to));
    }
    pen.stroke();
  }

  // Which side of the patient lies where: radiological display, as in the report's figures.
  const SIDES = { axial: "RLAP", coronal: "RLSI", sagittal: "APSI" };

  function drawSides(pen, tile, plane, scale) {
    const [left, top, wide, high] = tile.leftTopWidthHeight;
    if (Math.min(wide, high) < 130 * scale) return;
    const inset = 11 * scale;
    const [middle, centre] = [left + wide / 2, top + high / 2];
    const places = [
      [left + inset, centre], [left + wide - inset, centre], [middle, top + inset], [middle, top + high - 2.6 * inset],
    ];
    pen.font = `600 ${12 * scale}px system-ui, sans-serif`;
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.lineWidth = 3 * scale;
    places.forEach(([x, y], number) => {
      pen.strokeStyle = "#000c";
      pen.strokeText(SIDES[plane][number], x, y);
      pen.fillStyle = "#e8eaed";
      pen.fillText(SIDES[plane][number], x, y);
    });
  }

  // From voxels of a plane to pixels, by the millimetres that NiiVue says of the tile.
  function placing(tile, plane) {
    const [left, top, wide, high] = tile.leftTopWidthHeight;
    const volume = slices.volumes[0];
    const [x, y] = WITHIN[plane].map((axis) => {
      const start = volume.extentsMinOrtho[axis];
      return { start, size: (volume.extentsMaxOrtho[axis] - start) / scene.grid[axis] };
    });
    const sx = wide / tile.fovMM[0];
    const sy = -high / tile.fovMM[1];
    return new DOMMatrix([
      x.size * sx, 0, 0, y.size * sy,
      left + (x.start + 0.5 * x.size - tile.leftTopMM[0]) * sx,
      top + high + (y.start + 0.5 * y.size - tile.leftTopMM[1]) * sy,
    ]);
  }

  // --- What the user changes.

  function layOut() {
    const box = stage.getBoundingClientRect();
    if (!box.width || !box.height) return;
    const tiles = PLANES.filter((plane) => panes[plane].offsetWidth).map((plane) => {
      const pane = panes[plane].getBoundingClientRect();
      const room = 1e-6; // what rounding would take beyond the canvas
      return {
        sliceType: PLANES.indexOf(plane),
        position: [
          (pane.left - box.left) / box.width, (pane.top - box.top) / box.height,
          pane.width / box.width - room, pane.height / box.height - room,
        ],
      };
    });
    $("#slices").style.visibility = $("#contours").style.visibility = tiles.length ? "visible" : "hidden";
    if (tiles.length) slices.setCustomLayout(tiles);
  }

  function setView(view) {
    stage.dataset.view = view;
    for (const button of all("#views button")) button.setAttribute("aria-pressed", button.dataset.view === view);
    if (view in AXIS) active = view;
    layOut();
    if (panes["3-D"].offsetWidth) solid.resizeListener();
  }

  const toggleView = (view) => setView(stage.dataset.view === view ? "all" : view);

  function setWindow(name) {
    $("#window").value = name;
    const [level, width] = scene.windows[name];
    const volume = slices.volumes[0];
    [volume.cal_min, volume.cal_max] = [level - width / 2, level + width / 2];
    slices.updateGLVolume();
  }

  function show(number, shown) {
    const contour = contours[number];
    const row = all("tbody tr")[number];
    contour.shown = shown;
    row.classList.toggle("off", !shown);
    row.querySelector("[type=checkbox]").checked = shown;
    if (contour.volume) solid.setOpacity(solid.volumes.indexOf(contour.volume), shown ? 1 : 0);
    slices.drawScene();
  }

  function paint(number, colour) {
    const contour = contours[number];
    contour.colour = colour;
    if (contour.volume) {
      colourMap(contour, number);
      solid.updateGLVolume();
    }
    slices.drawScene();
  }

  function colourMap(contour, number) {
    const [red, green, blue] = [1, 3, 5].map((at) => parseInt(contour.colour.slice(at, at + 2), 16));
    // NiiVue keeps a map by its name.
    const name = `contour-${number}-${contour.colour.slice(1)}`;
    solid.addColormap(name, { R: [red, red], G: [green, green], B: [blue, blue], A: [0, 255], I: [0, 255] });
    contour.volume.colormap = name;
  }

  // Larger or smaller about the crosshair: what is at x is drawn at x · zoom + pan.
  function zoom(factor) {
    const view = slices.scene.pan2Dxyzmm;
    const larger = Math.max(1, Math.min(16, view[3] * factor));
    const volume = slices.volumes[0];
    const moved = [0, 1, 2].map((axis) => {
      const [low, high] = [volume.extentsMinOrtho[axis], volume.extentsMaxOrtho[axis]];
      const centre = low + slices.scene.crosshairPos[axis] * (high - low);
      return larger === 1 ? 0 : view[axis] - centre * (larger - view[3]);
    });
    slices.setPan2Dxyzmm([...moved, larger]);
  }

  function reset() {
    slices.setPan2Dxyzmm([0, 0, 0, 1]);
    setWindow(Object.keys(scene.windows)[0]);
    setView("all");
    placeCamera();
  }

  function placeCamera() {
    solid.setScale(1);
    solid.setRenderAzimuthElevation(170, 15);
  }

  function describe() {
    for (const plane of PLANES) {
      const slice = sliceOf(plane);
      const pane = panes[plane];
      pane.classList.toggle("active", plane === active);
      const name = plane[0].toUpperCase() + plane.slice(1);
      pane.querySelector("output").textContent = `${name} ${slice} / ${scene.slices[plane] - 1}`;
      pane.querySelector("input").value = slice;
    }
    writeHash();
  }

  const KEYS = {
    ArrowUp: () => step(1), ArrowDown: () => step(-1), PageUp: () => step(10), PageDown: () => step(-10),
    Home: () => step(-Infinity), End: () => step(Infinity),
    n: () => nextWithContour(1), p: () => nextWithContour(-1),
    a: () => toggleView("axial"), c: () => toggleView("coronal"), s: () => toggleView("sagittal"),
    d: () => toggleView("3-D"),
    w: () => {
      const names = Object.keys(scene.windows);
      setWindow(names[(names.indexOf($("#window").value) + 1) % names.length]);
    },
    "+": () => zoom(1.25), "=": () => zoom(1.25), "-": () => zoom(0.8), r: reset,
    "?": () => $("#help").showModal(),
    0: () => {
      const shown = contours.some((contour) => !contour.shown);
      contours.forEach((_, number) => show(number, shown));
    },
  };

  function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || $("#help").open || event.target.closest?.("select")) return;
    if (event.target.closest?.("[type=range]") && /^(Arrow|Page|Home|End)/.test(event.key)) return; // a slider's own keys
    const number = Number(event.key) - 1;
    const act = number >= 0 && contours[number] ? () => show(number, !contours[number].shown) : KEYS[event.key];
    event.stopPropagation(); // NiiVue has keys of its own
    if (act) {
      event.preventDefault();
      act();
    }
  }

  function listen() {
    addEventListener("keydown", onKey, true);
    addEventListener("hashchange", () => {
      readHash();
      slices.drawScene();
    });
    all("#views button").forEach((button) => button.addEventListener("click", () => setView(button.dataset.view)));
    $("#window").addEventListener("change", (event) => setWindow(event.target.value));
    $("#help-button").addEventListener("click", () => $("#help").showModal());
    all("tbody tr").forEach((row, number) => {
      row.querySelector("[type=checkbox]").addEventListener("change", (event) => show(number, event.target.checked));
      row.querySelector("[type=color]").addEventListener("input", (event) => paint(number, event.target.value));
    });
    for (const plane of PLANES) {
      panes[plane].querySelector("input").addEventListener("input", (event) => {
        active = plane;
        goTo(plane, Number(event.target.value));
        slices.drawScene();
      });
    }
    for (const kind of ["pointerdown", "wheel"]) {
      $("#slices").addEventListener(kind, activate, { capture: true, passive: true });
    }
    new ResizeObserver(layOut).observe(stage);
  }

  function activate(event) {
    const under = PLANES.find((plane) => {
      const box = panes[plane].getBoundingClientRect();
      const [x, y] = [event.clientX, event.clientY];
      return x >= box.left && x < box.right && y >= box.top && y < box.bottom;
    });
    active = under ?? active;
  }

  // --- From the page's own text to volumes.

  async function unpacked(element) {
    const packed = await fetch(`data:application/gzip;base64,${element.textContent}`);
    return new Response(packed.body.pipeThrough(new DecompressionStream("gzip")));
  }

  async function loadNiivue() {
    const script = document.createElement("script");
    script.textContent = await (await unpacked($("#niivue"))).text();
    document.head.append(script);
    return globalThis.niivue;
  }

  async function volumeOf(NVImage, element, name) {
    const buffer = await (await unpacked(element)).arrayBuffer();
    element.remove(); // it is not needed twice in memory
    return { buffer, volume: await NVImage.new(buffer, `${name}.nii`) };
  }

  async function load() {
    const { Niivue, NVImage, DRAG_MODE, SLICE_TYPE } = await loadNiivue();
    const bare = {
      logLevel: "silent", loadingText: "", dragAndDropEnabled: false, isOrientationTextVisible: false,
      viewModeHotKey: "", clipPlaneHotKey: "", cycleClipPlaneHotKey: "",
    };
    slices = new Niivue({
      ...bare, isRadiologicalConvention: true, sagittalNoseLeft: true, crosshairWidth: 0,
      mouseEventConfig: {
        leftButton: { primary: DRAG_MODE.crosshair }, rightButton: DRAG_MODE.windowing, centerButton: DRAG_MODE.pan,
      },
    });
    solid = new Niivue({ ...bare, sliceType: SLICE_TYPE.RENDER, isOrientCube: true });
    // What NiiVue does after a double click, to set a window by itself, would surprise.
    slices.resetBriCon = () => toggleView(active);
    solid.resetBriCon = () => toggleView("3-D");
    await slices.attachToCanvas($("#slices"), true);
    await solid.attachToCanvas($("#solid"), true);
    const { buffer, volume } = await volumeOf(NVImage, $("#ct"), "ct");
    slices.addVolume(volume);
    const coarse = $("#body") && (await volumeOf(NVImage, $("#body"), "body"));
    const body = coarse ? coarse.volume : await NVImage.new(buffer, "body.nii");
    // In 3-D the CT is smoke, densest where a lung is: the masks inside must be seen.
    solid.addColormap("smoke", {
      R: [0, 60, 110, 150, 90], G: [0, 70, 120, 155, 95], B: [0, 80, 130, 160, 100], A: [0, 0, 8, 3, 3], I: [0, 40, 110, 230, 255],
    });
    Object.assign(body, { cal_min: -1000, cal_max: -400, colormap: "smoke" });
    const volumes = [body];
    const elements = all(".mask");
    for (const [number, contour] of contours.entries()) {
      if (!contour.size) continue; // nothing is marked
      contour.volume = (await volumeOf(NVImage, elements[number], `mask-${number}`)).volume;
      contour.image = contour.volume.img;
      [contour.volume.cal_min, contour.volume.cal_max] = [0, 1];
      colourMap(contour, number);
      volumes.push(contour.volume);
    }
    addAtOnce(solid, volumes);
    const draw = slices.drawScene.bind(slices);
    slices.drawScene = () => {
      draw();
      drawContours();
      describe();
    };
  }

  // NiiVue makes all textures anew with each volume that is added.
  function addAtOnce(viewer, volumes) {
    const { updateGLVolume } = viewer;
    viewer.updateGLVolume = () => {};
    volumes.forEach((volume) => viewer.addVolume(volume));
    viewer.updateGLVolume = updateGLVolume;
    viewer.updateGLVolume();
  }

  async function start() {
    if (!document.createElement("canvas").getContext("webgl2") || !globalThis.DecompressionStream) {
      $("#message").textContent =
        "This browser cannot draw volumes: WebGL 2 is off or missing. Open the page in a current Chrome, Edge, Firefox " +
        "or Safari, on a machine whose graphics are not switched off.";
      return;
    }
    await load();
    for (const [plane, slice] of Object.entries(scene.start)) goTo(plane, slice);
    readHash();
    setWindow(Object.keys(scene.windows)[0]);
    placeCamera();
    layOut();
    listen();
    $("#message").textContent = "";
    document.documentElement.dataset.ready = "true";
  }

  start().catch((error) => {
    $("#message").textContent = `The page cannot be shown (${error.message}).`;
    throw error;
  });
})();
