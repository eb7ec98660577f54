-- One row for each trace: what a list of them shows. Row ids order lists: a clock can be set back.
create table traces(
    id integer primary key, trace blob not null, start integer not null, ended integer not null, name text not null,
    service text not null, status integer, error integer not null, errors integer not null, spans integer not null,
    dropped integer not null, route text, why text not null, root integer not null, root_start integer not null,
    services text not null, words text not null);
create unique index traces_by_trace on traces(trace);
-- All that a list is filtered by, in its order, so that what is filtered out is read from few pages.
create index traces_scan on traces(id, start, ended, errors, route);
create table trace_services(service text not null, trace integer not null, primary key(service, trace)) without rowid;
create virtual table trace_words using fts5(
    words, content='', contentless_delete=1, detail=none, tokenize='ascii');
create table spans(
    trace integer not null, number integer not null, span integer not null, parent integer, name text not null,
    kind text not null, service text not null, version text, scope text not null, start integer not null,
    duration integer not null, status text not null, message text, attributes text not null, events text not null,
    links text not null, primary key(trace, number)) without rowid;
create table logs(
    id integer primary key, time integer not null, level integer not null, service text, version text,
    request integer, trace blob, span integer, source text not null, stream text, message text not null,
    fields text not null);
create index logs_scan on logs(id, level, time, service, source);
create index logs_by_trace on logs(trace) where trace is not null;
create index logs_by_request on logs(request) where request is not null;
create index logs_by_span on logs(span) where span is not null;
create virtual table log_words using fts5(
    words, content='', contentless_delete=1, detail=none, tokenize='ascii');
create table services(name text primary key) without rowid;
create table series(
    id integer primary key, name text not null, kind text not null, unit text not null, description text not null,
    bounds text not null, overflow integer not null, labels text not null);
create unique index series_by_labels on series(name, labels);
-- What came since the reading before, so that a start anew is no fall. Bucket -1: what is no histogram.
create table points(
    series integer not null, time integer not null, bucket integer not null, value real not null,
    primary key(series, time, bucket)) without rowid;
create table exemplars(
    series integer not null, time integer not null, value real not null, trace blob not null,
    primary key(series, time)) without rowid;
-- When it was begun, and the ids that deleted rows had, so that none is given twice.
create table began(time integer not null, logs_end integer not null, traces_end integer not null);
