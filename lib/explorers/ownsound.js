// The microphone button: it records in the browser and sends a 16-bit WAV file.
const PLAIN = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };  // as it sounds

function wav(samples, rate) {  // Float32Array -> a 16-bit mono WAV file
  const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const text = (at, s) => [...s].forEach((c, i) => view.setUint8(at + i, c.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, 36 + 2 * samples.length, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);  // bytes of the format
  view.setUint16(20, 1, true);  // PCM
  view.setUint16(22, 1, true);  // one channel
  view.setUint32(24, rate, true);
  view.setUint32(28, 2 * rate, true);  // bytes a second
  view.setUint16(32, 2, true);  // bytes a sample
  view.setUint16(34, 16, true);  // bits a sample
  text(36, "data");
  view.setUint32(40, 2 * samples.length, true);
  samples.forEach((x, i) => view.setInt16(44 + 2 * i, Math.round(32767 * Math.max(-1, Math.min(1, x))), true));
  return view;
}

async function recorded(stream, seconds) {
  const recorder = new MediaRecorder(stream), parts = [], context = new AudioContext();
  const ended = new Promise((done) => {
    recorder.ondataavailable = (event) => parts.push(event.data);
    recorder.onstop = done;
  });
  recorder.start();
  await new Promise((done) => setTimeout(done, 1000 * seconds + 250));
  recorder.stop();
  await ended;
  const sound = await context.decodeAudioData(await new Blob(parts, { type: recorder.mimeType }).arrayBuffer());
  context.close();
  return wav(sound.getChannelData(0), sound.sampleRate);
}

function render({ model, el }) {
  const button = document.createElement("button"), note = document.createElement("span");
  button.className = "jupyter-widgets jupyter-button microphone";
  button.textContent = `record ${model.get("seconds")} s`;
  note.setAttribute("role", "status");
  note.className = "microphone-note";
  el.append(button, note);
  button.addEventListener("click", async () => {
    if (!navigator.mediaDevices) {
      note.textContent = "This page may not use a microphone: browsers allow it on https and localhost only.";
      return;
    }
    button.disabled = true;
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio: PLAIN });
      note.textContent = "recording ...";
      model.set("wav", await recorded(stream, model.get("seconds")));
      model.save_changes();
      note.textContent = "recorded";
    } catch (error) {
      note.textContent = `No recording: ${error.message}`;
    }
    if (stream) stream.getTracks().forEach((track) => track.stop());
    button.disabled = false;
  });
}

export default { render };
