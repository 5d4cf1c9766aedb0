package model

import "reflect"

// Builder is how an artifact is built: *Docker, *Bazel, *Ko, *Jib, *Kaniko, *Buildpacks or *Custom.
type Builder interface{ builder() }

func (*Docker) builder()     {}
func (*Bazel) builder()      {}
func (*Ko) builder()         {}
func (*Jib) builder()        {}
func (*Kaniko) builder()     {}
func (*Buildpacks) builder() {}
func (*Custom) builder()     {}

// Environment is where artifacts are built: *LocalBuild, *GoogleCloudBuild or *ClusterBuild.
type Environment interface{ environment() }

func (*LocalBuild) environment()       {}
func (*GoogleCloudBuild) environment() {}
func (*ClusterBuild) environment()     {}

// Tagger is how images are tagged: *GitCommit, *Sha256, *EnvTemplate, *DateTime, *CustomTemplate or *InputDigest.
type Tagger interface{ tagger() }

func (*GitCommit) tagger()      {}
func (*Sha256) tagger()         {}
func (*EnvTemplate) tagger()    {}
func (*DateTime) tagger()       {}
func (*CustomTemplate) tagger() {}
func (*InputDigest) tagger()    {}

// SyncMode is how files to sync are found: SyncManual, SyncInfer or SyncAuto.
type SyncMode interface{ syncMode() }

func (SyncManual) syncMode() {}
func (SyncInfer) syncMode()  {}
func (SyncAuto) syncMode()   {}

// Source is where a required config is: PathSource, *GitSource, *CloudStorageSource or *CloudBuildRepoSource;
// nil means the same file.
type Source interface{ source() }

func (PathSource) source()            {}
func (*GitSource) source()            {}
func (*CloudStorageSource) source()   {}
func (*CloudBuildRepoSource) source() {}

// DeployHook is *HostHook or *NamedContainerHook.
type DeployHook interface{ deployHook() }

func (*HostHook) deployHook()           {}
func (*NamedContainerHook) deployHook() {}

// SyncHook is *HostHook or *ContainerHook.
type SyncHook interface{ syncHook() }

func (*HostHook) syncHook()      {}
func (*ContainerHook) syncHook() {}

// Case is one case of a sealed interface: the field it is written under, and its Go type.
type Case struct {
	Key  string
	Type reflect.Type
}

// Cases lists the cases of a sealed interface in the order of the schema; nil for any other type.
func Cases(t reflect.Type) []Case {
	switch t {
	case reflect.TypeFor[Builder]():
		return []Case{
			{"docker", reflect.TypeFor[*Docker]()}, {"bazel", reflect.TypeFor[*Bazel]()},
			{"ko", reflect.TypeFor[*Ko]()}, {"jib", reflect.TypeFor[*Jib]()},
			{"kaniko", reflect.TypeFor[*Kaniko]()}, {"buildpacks", reflect.TypeFor[*Buildpacks]()},
			{"custom", reflect.TypeFor[*Custom]()},
		}
	case reflect.TypeFor[Environment]():
		return []Case{
			{"local", reflect.TypeFor[*LocalBuild]()}, {"googleCloudBuild", reflect.TypeFor[*GoogleCloudBuild]()},
			{"cluster", reflect.TypeFor[*ClusterBuild]()},
		}
	case reflect.TypeFor[Tagger]():
		return []Case{
			{"gitCommit", reflect.TypeFor[*GitCommit]()}, {"sha256", reflect.TypeFor[*Sha256]()},
			{"envTemplate", reflect.TypeFor[*EnvTemplate]()}, {"dateTime", reflect.TypeFor[*DateTime]()},
			{"customTemplate", reflect.TypeFor[*CustomTemplate]()}, {"inputDigest", reflect.TypeFor[*InputDigest]()},
		}
	case reflect.TypeFor[SyncMode]():
		return []Case{
			{"manual", reflect.TypeFor[SyncManual]()}, {"infer", reflect.TypeFor[SyncInfer]()},
			{"auto", reflect.TypeFor[SyncAuto]()},
		}
	case reflect.TypeFor[Source]():
		return []Case{
			{"path", reflect.TypeFor[PathSource]()}, {"git", reflect.TypeFor[*GitSource]()},
			{"googleCloudStorage", reflect.TypeFor[*CloudStorageSource]()},
			{"googleCloudBuildRepoV2", reflect.TypeFor[*CloudBuildRepoSource]()},
		}
	case reflect.TypeFor[DeployHook]():
		return []Case{{"host", reflect.TypeFor[*HostHook]()}, {"container", reflect.TypeFor[*NamedContainerHook]()}}
	case reflect.TypeFor[SyncHook]():
		return []Case{{"host", reflect.TypeFor[*HostHook]()}, {"container", reflect.TypeFor[*ContainerHook]()}}
	}
	return nil
}
