package kube

import "context"

func (a *applier) allowed(context.Context) error { return nil }
