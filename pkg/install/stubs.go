package install

import "errors"

// Root is a stand-in.
func Root(dir, user, path string) (Engine, error) { return nil, errors.ErrUnsupported }
