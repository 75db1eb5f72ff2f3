//go:build unix && !linux && !darwin

package hostfs

import (
	"errors"

	"pi-key-tools/pkg/strictmodes"
)

func renameNew(int, string, string) error { return errors.ErrUnsupported }

// attributes are not known here.
func (handle) attributes() (strictmodes.Attributes, error) { return strictmodes.Attributes{}, nil }
