/* A service of WASI 0.2 in C without a library: the imports as the component model's ABI has them.
 *
 * `/stream` comes in a hundred pieces, anything else is one whole text with its length. */

typedef int handle;

#define IMPORT(module, name) __attribute__((import_module(module), import_name(name)))
#define HTTP "wasi:http/types@0.2.12"
#define STREAMS "wasi:io/streams@0.2.12"

IMPORT(HTTP, "[constructor]fields") handle fields_new(void);
IMPORT(HTTP, "[method]fields.append")
void fields_append(handle, const char *, int, const char *, int, void *);
IMPORT(HTTP, "[method]incoming-request.path-with-query") void request_path(handle, void *);
IMPORT(HTTP, "[resource-drop]incoming-request") void request_drop(handle);
IMPORT(HTTP, "[constructor]outgoing-response") handle response_new(handle);
IMPORT(HTTP, "[method]outgoing-response.body") void response_body(handle, void *);
IMPORT(HTTP, "[static]response-outparam.set")
void outparam_set(handle, int, handle, int, long long, int, int, int, int);
IMPORT(HTTP, "[method]outgoing-body.write") void body_write(handle, void *);
IMPORT(HTTP, "[static]outgoing-body.finish") void body_finish(handle, int, handle, void *);
IMPORT(STREAMS, "[method]output-stream.blocking-write-and-flush")
void stream_write(handle, const char *, int, void *);
IMPORT(STREAMS, "[resource-drop]output-stream") void stream_drop(handle);

/* What the host gives by reference, such as the path. One request at a time has it all. */
static char heap[1 << 16];
static int used;

__attribute__((export_name("cabi_realloc"))) void *
reallocate(void *old, int old_size, int align, int size) {
  used = (used + align - 1) & -align;
  if (used + size > (int)sizeof heap)
    __builtin_trap();
  char *place = heap + used;
  used += size;
  for (int i = 0; i < old_size; i++)
    place[i] = ((char *)old)[i];
  return place;
}

struct text {
  _Alignas(4) unsigned char some;
  const char *begin;
  int length;
};

struct one {
  _Alignas(4) unsigned char error;
  handle value;
};

static int length(const char *text) {
  int length = 0;
  while (text[length])
    length++;
  return length;
}

static int same(struct text path, const char *text) {
  if (!path.some || path.length != length(text))
    return 0;
  for (int i = 0; i < path.length; i++)
    if (path.begin[i] != text[i])
      return 0;
  return 1;
}

static int put(char *to, const char *from, int length) {
  for (int i = 0; i < length; i++)
    to[i] = from[i];
  return length;
}

/* In decimal; at most four digits. */
static int put_number(char *to, int number) {
  int digits = 1;
  for (int rest = number; rest >= 10; rest /= 10)
    digits++;
  for (int i = digits - 1; i >= 0; i--, number /= 10)
    to[i] = '0' + number % 10;
  return digits;
}

static void append(handle fields, const char *name, const char *value, int value_length) {
  _Alignas(8) char result[16];
  fields_append(fields, name, length(name), value, value_length, result);
}

__attribute__((export_name("wasi:http/incoming-handler@0.2.12#handle"))) void
handle_request(handle request, handle answer) {
  _Alignas(8) char ignored[64];
  char greeting[4096 + 32], number[8];
  struct text path;
  struct one body, stream;

  used = 0;
  request_path(request, &path);
  int streams = same(path, "/stream");
  int greeted = put(greeting, "Hello from C at ", 16);
  if (path.some && path.length <= 4096)
    greeted += put(greeting + greeted, path.begin, path.length);
  greeted += put(greeting + greeted, "\n", 1);

  handle fields = fields_new();
  append(fields, "content-type", "text/plain", 10);
  if (!streams)
    append(fields, "content-length", number, put_number(number, greeted));
  handle response = response_new(fields);
  response_body(response, &body);
  outparam_set(answer, 0, response, 0, 0, 0, 0, 0, 0);
  body_write(body.value, &stream);
  if (streams) {
    for (int piece = 0; piece < 100; piece++) {
      char line[16];
      int size = put(line, "piece ", 6);
      size += put_number(line + size, piece);
      size += put(line + size, "\n", 1);
      stream_write(stream.value, line, size, ignored);
    }
  } else {
    stream_write(stream.value, greeting, greeted, ignored);
  }
  stream_drop(stream.value);
  body_finish(body.value, 0, 0, ignored);
  request_drop(request);
}
