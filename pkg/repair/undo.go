package repair

import (
	"fmt"
	"os"
	"strings"

	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/record"
)

// An Undo is a file with a program for any POSIX shell that undoes what was
// done, the last step first. Each step is on the disk there before it is taken;
// one that was not taken after all is undone without a word.
type Undo struct {
	script Script
	file   *os.File
	steps  int
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

// NewUndo makes the file, which must not be there (fs.ErrExist). about is a
// line for whoever reads it, root as in Script. The caller closes it.
func NewUndo(path, root, about string) (*Undo, error) {
	u := &Undo{script: Script{Root: root}}
	if err := hostfs.CreateNew(path, []byte(u.script.Head(about)+undoing), 0o600); err != nil {
		return nil, err
	}
	var err error
	u.file, err = os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	return u, err
}

// note writes how to undo a step.
func (u *Undo) note(step Step) error {
	u.steps++
	line := fmt.Sprintf("step%d() { %s; }; steps=%[1]d\n", u.steps, strings.Join(u.script.lines(step.undo()), " && "))
	_, err := u.file.WriteString(line)
	if err == nil {
		err = u.file.Sync()
	}
	if err != nil {
		return fmt.Errorf("nothing was changed, since how to undo it could not be written: %w", err)
	}
	return nil
}

// Close ends the use of the file, which is removed if there is nothing to undo.
func (u *Undo) Close() error {
	err := u.file.Close()
	if err == nil && u.steps == 0 {
		err = os.Remove(u.file.Name())
	}
	return err
}

// comment makes one line of a text, for a script.
func comment(text string) string { return record.Escape(text) }
