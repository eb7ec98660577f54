"""Asks a host for something, as a program does that OpenTelemetry's library traces.

Where its telemetry goes is for OpenTelemetry's own variables to say. Prints the id of its trace.
"""

import logging
import sys
import urllib.request

from opentelemetry import metrics, trace
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagate import inject
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry._logs import LogRecord, SeverityNumber


def main() -> None:
    # What an exporter cannot send it only says in the log.
    logging.basicConfig(stream=sys.stderr)
    tracers = TracerProvider()
    tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    loggers = LoggerProvider()
    loggers.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
    meters = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())])
    meters.get_meter("asks").create_counter("asked").add(1)
    tracer = tracers.get_tracer("asks")
    with tracer.start_as_current_span("plan a walk") as root:
        with tracer.start_as_current_span("ask", kind=trace.SpanKind.CLIENT) as span:
            span.set_attribute("url.full", sys.argv[1])
            headers: dict[str, str] = {}
            inject(headers)
            request = urllib.request.Request(sys.argv[1], headers=headers)
            with urllib.request.urlopen(request, timeout=30) as answer:
                span.set_attribute("http.response.status_code", answer.status)
                answer.read()
        loggers.get_logger("asks").emit(
            LogRecord(
                body="it will be mild",
                severity_number=SeverityNumber.WARN,
                severity_text="WARN",
                attributes={"user.password": "hunter2"},
            )
        )
        print(trace.format_trace_id(root.get_span_context().trace_id))
    for provider in (tracers, loggers, meters):
        provider.shutdown()


main()
