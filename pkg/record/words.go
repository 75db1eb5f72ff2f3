package record

import (
	"fmt"
	"io/fs"
	"strings"
)

// Words is an error's text for people, "FILE: no such file or directory" as
// OpenSSH has it: without the system calls, such as open or lstat, that os puts
// before a path, and with a path that is said twice said once.
func Words(err error) string {
	text := err.Error()
	for todo := []error{err}; len(todo) > 0; todo = todo[1:] {
		switch err := todo[0].(type) {
		case *fs.PathError:
			todo = append(todo, err.Err)
			// Ours are "looking at", "reading the link": they say what was tried.
			if err.Op == "opening" || !strings.Contains(err.Op, "ing") {
				path := strings.ReplaceAll(err.Path, "\n", `\n`) + ": "
				text = strings.ReplaceAll(text, err.Error(), path+err.Err.Error())
				text = strings.ReplaceAll(text, path+path, path)
			}
		case interface{ Unwrap() error }:
			if why := err.Unwrap(); why != nil {
				todo = append(todo, why)
			}
		case interface{ Unwrap() []error }:
			todo = append(todo, err.Unwrap()...)
		}
	}
	return text
}

// Sprintf is fmt.Sprintf with the Words of what is an error.
func Sprintf(format string, args ...any) string {
	for i, arg := range args {
		if err, ok := arg.(error); ok {
			args[i] = Words(err)
		}
	}
	return fmt.Sprintf(format, args...)
}
