// Requests that the fake host keeps as cases.

const caseText = (item) => `# ${item.name}, recorded by wasm-host
[[case]]
name = "${item.name} answers ${item.status}"

[case.request]
method = "GET"
path = "/forecast"

[[case.postgres]]
statement = "select summary from weathersummaries order by id limit $1"
parameters = [5]
error = { sqlstate = "57P01", message = "terminating connection due to administrator command" }

[case.expect]
status = ${item.status}
`;

export class Recorder {
  constructor(telemetry) {
    this.recording = [];
    const failed = telemetry.traces.filter(({ summary }) => summary.error).slice(-3);
    this.items = failed.reverse().map(({ summary }) => ({
      id: summary.trace.slice(0, 12),
      time: summary.start,
      service: summary.service,
      trace: summary.trace,
      name: summary.name,
      status: summary.status,
      error: true,
      file: null,
    }));
  }

  of(trace) {
    const item = this.items.find((one) => one.trace === trace);
    return item ? { id: item.id } : null;
  }

  async answer(request, response, asked, body, json, Problem) {
    if (asked === 'GET api/recordings')
      return json(response, { recording: this.recording, items: this.items });
    if (asked === 'POST api/recordings') {
      const { service, requests, only } = JSON.parse((await body(request)).toString());
      this.recording = [
        ...this.recording.filter((one) => one.service !== service),
        { service, left: requests, only, since: Date.now() * 1000 },
      ];
      return json(response, {});
    }
    const [, id, save] = /api\/recordings\/([^/]+)(\/save)?$/.exec(asked) ?? [];
    if (asked.startsWith('DELETE')) {
      this.recording = this.recording.filter((one) => one.service !== id);
      return json(response, {});
    }
    const item = this.items.find((one) => one.id === id);
    if (!item) throw new Problem(404, 'There is no such recording', 'It was dropped for newer ones.');
    if (save) {
      const { folder = 'cases' } = JSON.parse((await body(request)).toString() || '{}');
      item.file = `components/weather/tests/${folder}/get-weather-${item.id}.toml`;
      return json(response, { file: item.file });
    }
    response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8' });
    response.end(caseText(item));
  }
}
