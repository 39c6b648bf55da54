// A file's way to the API, with its progress; then to its page, or to why it was not taken.
(() => {
  const form = document.getElementById("upload");
  if (!form) return;
  const [bar, told] = [document.getElementById("upload-progress"), document.getElementById("upload-told")];

  const sent = (body) =>
    new Promise((resolve, reject) => {
      const request = new XMLHttpRequest(); // fetch tells nothing of an upload's progress
      request.open("POST", form.dataset.address);
      request.setRequestHeader("x-csrf-token", window.freehold.token());
      request.responseType = "json";
      request.upload.onprogress = (event) => {
        bar.value = event.total ? event.loaded / event.total : 0;
        told.textContent = event.loaded === event.total ? "Checking every line …" : "Uploading …";
      };
      request.onload = () => (request.status < 300 ? resolve(request.response) : reject(new Error(request.response?.error?.message ?? `Status ${request.status}`)));
      request.onerror = () => reject(new Error("The gateway does not answer."));
      request.send(body);
    });

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    document.getElementById("notices").replaceChildren();
    const body = new FormData();
    body.append("purpose", document.getElementById("purpose").value);
    body.append("file", document.getElementById("file").files[0]);
    bar.hidden = false;
    try {
      const file = await sent(body);
      window.location.assign(form.dataset.then + encodeURIComponent(file.id));
    } catch (error) {
      bar.hidden = true;
      told.textContent = "";
      window.freehold.notice(error.message);
    }
  });
})();
