package repair

import (
	"fmt"
	"io"
	"os"
	"strings"

	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/record"
)

// An Undo is a file with a program for any POSIX shell that undoes what was
// done, last step first. Each step is on disk there before it is taken; one
// that was not taken after all is silently skipped.
type Undo struct {
	script Script
	file   *os.File
	steps  int
	err    error // of the first step that could not be written: what follows a torn line is no program
}

// undoing does the steps at the end of the program, wherever that is: what a
// power cut has left of the last line, if anything, is of a step not taken.
const undoing = `steps=0
undo() {
	while [ "$steps" -gt 0 ]; do
		"step$steps" || status=1
		steps=$((steps - 1))
	done
	exit $status
}
trap undo EXIT

`

// NewUndo makes the file, which must not exist (fs.ErrExist). about is a line
// for its reader, root is as in Script. The caller closes it.
func NewUndo(path, root, about string) (*Undo, error) {
	u := &Undo{script: Script{Root: root}}
	program := u.script.Head(about) + undoing
	if err := hostfs.CreateNew(path, []byte(program), 0o600); err != nil {
		return nil, err
	}
	var err error
	u.file, err = reopen(path, program)
	return u, err
}

// reopen opens a file that was just made, to append to it: whoever may write
// its directory may have put another's file in its place.
func reopen(path, content string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND, 0)
	if err != nil {
		return nil, err
	}
	have, err := io.ReadAll(io.LimitReader(file, int64(len(content)+1)))
	if err == nil && string(have) != content {
		err = fmt.Errorf("%s is not what was just made: name a file in a directory that nobody else may write", path)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// note writes how to undo a step. Once that has failed, it fails.
func (u *Undo) note(step Step) error {
	if u.err == nil {
		u.steps++
		line := fmt.Sprintf("step%d() { %s; }; steps=%[1]d\n", u.steps, strings.Join(u.script.lines(step.undo()), " && "))
		if _, u.err = u.file.WriteString(line); u.err == nil {
			u.err = u.file.Sync()
		}
	}
	if u.err != nil {
		return fmt.Errorf("%s is left as it is, since the step to undo it could not be written: %w", step.Path, u.err)
	}
	return nil
}

// Close closes the file, and removes it if there is nothing to undo.
func (u *Undo) Close() error {
	err := u.file.Close()
	if err == nil && u.steps == 0 {
		err = os.Remove(u.file.Name())
	}
	return err
}

// comment makes one line of a text, for a script.
func comment(text string) string { return record.Escape(text) }
