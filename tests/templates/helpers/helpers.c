/* Calls all that `wasm_host` has for buckets, a database and the configuration, and answers with what each call gave. */
#include <stdio.h>
#include <string.h>

#include "wasm_host.h"

void helpers(struct request *request, struct reply *reply);

static void put(struct text *said, const char *more) {
  text_add(said, more, strlen(more));
}

static int note(const char *bucket, struct text *said) {
  struct text value = {0};
  bool is_there;
  int status = bucket_get(bucket, "note", &value, &is_there);
  if (status != 200)
    return status;
  if (!is_there)
    put(said, "nothing");
  for (size_t at = 0; at < value.length; at++) {
    char byte[3];
    snprintf(byte, sizeof byte, "%02x", (unsigned char)value.begin[at]);
    put(said, byte);
  }
  put(said, "\n");
  text_free(&value);
  return 200;
}

static int count(const char *bucket, int64_t delta, struct text *said) {
  char line[32];
  int64_t sum;
  int status = bucket_increment(bucket, "count", delta, &sum);
  if (status != 200)
    return status;
  snprintf(line, sizeof line, "%lld\n", (long long)sum);
  put(said, line);
  return 200;
}

static void add(void *said, const char *key, size_t length) {
  text_add(said, key, length);
  text_add(said, " ", 1);
}

static int all(const char *bucket, struct text *said) {
  int status;
  if ((status = note(bucket, said)) != 200 || (status = bucket_set(bucket, "note", "\0\377o", 3)) != 200)
    return status;
  if ((status = note(bucket, said)) != 200 || (status = bucket_set(bucket, "other", "tea", 3)) != 200)
    return status;
  if ((status = bucket_keys(bucket, add, said)) != 200)
    return status;
  said->begin[said->length - 1] = '\n';
  if ((status = bucket_delete(bucket, "note")) != 200 || (status = note(bucket, said)) != 200)
    return status;
  return (status = count(bucket, 40, said)) != 200 ? status : count(bucket, -41, said);
}

static void line(void *said, const wasm_host_postgres_types_row_t *row) {
  const service_string_t *text = &row->ptr[0].val.scalar.val.text;
  text_add(said, (const char *)text->ptr, text->len);
  put(said, "\n");
}

static int change(const char *statement, struct text *said) {
  wasm_host_postgres_types_value_t ciao = value_text("Ciao");
  char written[32];
  uint64_t changed;
  int status = execute(statement, &ciao, 1, &changed);
  if (status != 200)
    return status;
  snprintf(written, sizeof written, "%llu\n", (unsigned long long)changed);
  put(said, written);
  return 200;
}

static int told(struct text *said) {
  wasm_host_postgres_types_value_t values[] = {value_number(1), value_text("Bonjour")};
  int status = query("select text from greetings where id > $1 and text <> $2 order by id", values, 2, line, said);
  if (status != 200 || (status = change("insert into greetings (text) values ($1)", said)) != 200)
    return status;
  return change("delete from greetings where text = $1", said);
}

void helpers(struct request *request, struct reply *reply) {
  const char *key = request->path + strlen("/helpers");
  struct text said = {0};
  int status = 200;
  if (*key == 0 && strcmp(request->query, "sql") == 0)
    status = told(&said);
  else if (*key == 0)
    status = all(request->query, &said);
  else
    put(&said, configured(key + 1, &said) ? "\n" : "nothing\n");
  if (status == 200)
    reply_text(reply, 200, said.begin);
  else
    reply_failure(reply, status);
  text_free(&said);
}
