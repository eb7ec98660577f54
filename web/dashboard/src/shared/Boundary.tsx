// Keeps a mistake of one page from taking the whole dashboard away: it is shown in its place, and
// going to another page leaves it behind.
import { Component, type ReactNode } from 'react';
import { asFailure } from '../api/failure';
import { FailureNotice } from './Notices';
import { useRoute } from './useRoute';

export function Boundary({ children }: { children: ReactNode }) {
  const { page, subject } = useRoute();
  return <Catcher key={`${page}/${subject ?? ''}`}>{children}</Catcher>;
}

class Catcher extends Component<{ children: ReactNode }, { error: unknown }> {
  override state: { error: unknown } = { error: undefined };

  static getDerivedStateFromError(error: unknown) {
    return { error };
  }

  override render() {
    if (this.state.error === undefined) return this.props.children;
    return (
      <section className="page">
        <FailureNotice
          failure={asFailure(this.state.error)}
          onRetry={() => this.setState({ error: undefined })}
        />
      </section>
    );
  }
}
