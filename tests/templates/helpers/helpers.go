// Calls all that wasmhost has for buckets, a database and the configuration, and answers with what each call gave.
package main

import (
	"encoding/hex"
	"fmt"
	"strings"

	"service/wasmhost"
)

func isHelped(request *wasmhost.Request) bool {
	return strings.HasPrefix(request.Path, "/helpers")
}

func helpers(request *wasmhost.Request, reply *wasmhost.Reply) error {
	if _, key, isThere := strings.Cut(request.Path, "/helpers/"); isThere {
		value, isThere := wasmhost.Configured(key)
		if !isThere {
			value = "nothing"
		}
		return reply.Text(200, value+"\n")
	}
	calls := func() (string, error) { return all(request.Query) }
	if request.Query == "sql" {
		calls = told
	}
	said, err := calls()
	if err != nil {
		return err
	}
	return reply.Text(200, said)
}

func all(name string) (string, error) {
	bucket, err := wasmhost.OpenBucket(name)
	if err != nil {
		return "", err
	}
	defer bucket.Close()
	said, err := note(bucket)
	if err != nil {
		return "", err
	}
	if err := bucket.Set("note", []byte{0, 255, 'o'}); err != nil {
		return "", err
	}
	line, err := note(bucket)
	if err != nil {
		return "", err
	}
	said += line
	if err := bucket.Set("other", []byte("tea")); err != nil {
		return "", err
	}
	keys, err := bucket.Keys()
	if err != nil {
		return "", err
	}
	said += strings.Join(keys, " ") + "\n"
	if err := bucket.Delete("note"); err != nil {
		return "", err
	}
	if line, err = note(bucket); err != nil {
		return "", err
	}
	said += line
	for _, delta := range []int64{40, -41} {
		sum, err := bucket.Increment("count", delta)
		if err != nil {
			return "", err
		}
		said += fmt.Sprintln(sum)
	}
	return said, nil
}

func told() (string, error) {
	said := ""
	for row, err := range wasmhost.Query("select text from greetings where id > $1 and text <> $2 order by id", 1, "Bonjour") {
		if err != nil {
			return "", err
		}
		said += row[0].(string) + "\n"
	}
	for _, statement := range []string{"insert into greetings (text) values ($1)", "delete from greetings where text = $1"} {
		changed, err := wasmhost.Execute(statement, "Ciao")
		if err != nil {
			return "", err
		}
		said += fmt.Sprintln(changed)
	}
	return said, nil
}

func note(bucket *wasmhost.Bucket) (string, error) {
	value, isThere, err := bucket.Get("note")
	if err != nil || !isThere {
		return "nothing\n", err
	}
	return hex.EncodeToString(value) + "\n", nil
}
